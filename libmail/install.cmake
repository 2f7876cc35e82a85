# cmake --install: headers, both libraries, pkg-config and CMake package files, daemons, manual pages. The result may be
# moved: every path in it is relative to where it lies.
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/libmail)
set(pc_dir ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
set(PC_REQUIRES "")
foreach(module IN LISTS LMAIL_HOST_MODULES)
    list(APPEND PC_REQUIRES ${module}${LMAIL_${module}_WANTED})
endforeach()
list(JOIN PC_REQUIRES ", " PC_REQUIRES)
string(REPLACE ">=" " >= " PC_REQUIRES "${PC_REQUIRES}")
cmake_path(RELATIVE_PATH CMAKE_INSTALL_PREFIX BASE_DIRECTORY ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig
    OUTPUT_VARIABLE PC_PREFIX)

# lmail_install(target shared_set static_set pc): one library in both kinds, with its export sets and its .pc file. The archive has a
# set of its own where it needs packages that users of the shared library do not.
function(lmail_install target shared_set static_set pc)
    install(TARGETS ${target} EXPORT ${shared_set})
    install(TARGETS ${target}_static EXPORT ${static_set})
    foreach(set ${shared_set} ${static_set})
        install(EXPORT ${set} NAMESPACE libmail:: DESTINATION ${package_dir})
    endforeach()
    configure_file(libmail/${pc}.in ${PROJECT_BINARY_DIR}/${pc} @ONLY)
    install(FILES ${PROJECT_BINARY_DIR}/${pc} DESTINATION ${pc_dir})
endfunction()

if(TARGET mail)
    lmail_install(mail libmailTargets libmailStaticTargets libmail.pc)
endif()
if(TARGET mail_host)
    set_target_properties(mail_host PROPERTIES INSTALL_RPATH "$ORIGIN")
    lmail_install(mail_host libmailHostTargets libmailHostStaticTargets libmail-host.pc)
endif()

install(FILES ${public_headers} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/libmail)
if(TARGET mail_host)
    install(FILES ${public_host_headers} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/libmail/host)
endif()
configure_package_config_file(libmail/libmailConfig.cmake.in ${PROJECT_BINARY_DIR}/libmailConfig.cmake
    INSTALL_DESTINATION ${package_dir})
# Until 1.0 a minor version may break.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/libmailConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/libmailConfig.cmake ${PROJECT_BINARY_DIR}/libmailConfigVersion.cmake
    DESTINATION ${package_dir})

set(programs "")
if(PROJECT_IS_TOP_LEVEL AND LIBMAIL_HOST)
    get_property(programs DIRECTORY daemons PROPERTY BUILDSYSTEM_TARGETS)
endif()
if(programs)
    cmake_path(RELATIVE_PATH CMAKE_INSTALL_FULL_LIBDIR BASE_DIRECTORY ${CMAKE_INSTALL_FULL_SBINDIR}
        OUTPUT_VARIABLE to_libraries)
    set_target_properties(${programs} PROPERTIES INSTALL_RPATH "$ORIGIN/${to_libraries}")
    install(TARGETS ${programs} DESTINATION ${CMAKE_INSTALL_SBINDIR})
endif()
if("sendmail" IN_LIST programs)
    install(CODE "
set(SBIN \"${CMAKE_INSTALL_SBINDIR}\")
set(BIN \"${CMAKE_INSTALL_BINDIR}\")
set(GROUP \"${LIBMAIL_DROP_GROUP}\")
include(\"${CMAKE_CURRENT_SOURCE_DIR}/daemons/system/sendmail.cmake\")
")
endif()

file(GLOB pages CONFIGURE_DEPENDS docs/man/*.[1-9])
foreach(page IN LISTS pages)
    cmake_path(GET page EXTENSION LAST_ONLY section)
    string(SUBSTRING ${section} 1 -1 section)
    install(FILES ${page} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section})
endforeach()
