# Init scripts by the services' classic names, and systemd units of the daemons; cmake --install puts them in place. They name
# programs by path, so they are made when the prefix is known for sure: at the installation, and once for the tests.
set(LIBMAIL_INIT_DIR "${CMAKE_INSTALL_SYSCONFDIR}/init.d" CACHE STRING "Where init scripts are installed; empty: nowhere")
set(LIBMAIL_UNIT_DIR "lib/systemd/system" CACHE STRING "Where systemd units are installed; empty: nowhere")

set(LIBMAIL_DROP_GROUP "maildrop" CACHE STRING "Group that sendmail is set to where it exists (queue.drop_group); empty: none")

# For the tests: those of this build tree.
set(SYSTEM_OUT ${CMAKE_CURRENT_BINARY_DIR}/system)
set(SYSTEM_SBIN ${CMAKE_INSTALL_FULL_SBINDIR})
set(SYSTEM_INIT init.d)
set(SYSTEM_UNITS units)
include(system/make.cmake)

# /usr has its system files in /etc, /opt/X in /etc/opt/X (GNUInstallDirs): relative to the prefix elsewhere.
install(CODE "
set(SYSTEM_IN \"${CMAKE_CURRENT_SOURCE_DIR}/system\")
set(SYSCONF \"${CMAKE_INSTALL_SYSCONFDIR}\")
set(SBIN \"${CMAKE_INSTALL_SBINDIR}\")
set(INIT_DIR \"${LIBMAIL_INIT_DIR}\")
set(UNIT_DIR \"${LIBMAIL_UNIT_DIR}\")
include(\"${CMAKE_CURRENT_SOURCE_DIR}/system/install.cmake\")
")
