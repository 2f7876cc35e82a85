# Init scripts by the services' classic names, and systemd units of the daemons; cmake --install puts them in place.
set(LIBMAIL_INIT_DIR "${CMAKE_INSTALL_SYSCONFDIR}/init.d" CACHE STRING "Where init scripts are installed; empty: nowhere")
set(LIBMAIL_UNIT_DIR "lib/systemd/system" CACHE STRING "Where systemd units are installed; empty: nowhere")

# init(SERVICE about provides after)
function(lmail_init SERVICE ABOUT PROVIDES AFTER)
    configure_file(system/init.in ${CMAKE_CURRENT_BINARY_DIR}/system/init.d/${SERVICE} @ONLY
        FILE_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
    if(LIBMAIL_INIT_DIR)
        install(PROGRAMS ${CMAKE_CURRENT_BINARY_DIR}/system/init.d/${SERVICE} DESTINATION ${LIBMAIL_INIT_DIR})
    endif()
endfunction()
lmail_init(sendmail "receives mail (smtpd)" " mail-transport-agent" " saslauthd")
lmail_init(dovecot "serves mailboxes by IMAP and POP3 (imapd, pop3d)" "" " saslauthd")
lmail_init(saslauthd "the accounts of the mail daemons" "" "")

# unit(DAEMON about after hardening): what root it needs decides about the rest.
function(lmail_unit DAEMON ABOUT UNIT_AFTER HARDENING)
    configure_file(system/unit.in ${CMAKE_CURRENT_BINARY_DIR}/system/units/${DAEMON}.service @ONLY)
    if(LIBMAIL_UNIT_DIR)
        install(FILES ${CMAKE_CURRENT_BINARY_DIR}/system/units/${DAEMON}.service DESTINATION ${LIBMAIL_UNIT_DIR})
    endif()
endfunction()
set(bounds "CapabilityBoundingSet=CAP_NET_BIND_SERVICE CAP_SETUID CAP_SETGID CAP_CHOWN CAP_FOWNER CAP_DAC_OVERRIDE CAP_KILL CAP_SYS_RESOURCE
NoNewPrivileges=yes")
lmail_unit(smtpd "Mail receiver of libmail" " authd.service" "${bounds}")
lmail_unit(imapd "IMAP server of libmail" " authd.service" "${bounds}")
lmail_unit(pop3d "POP3 server of libmail" " authd.service" "${bounds}")
# PAM modules start programs of their own, as unix_chkpwd, and want what root has.
lmail_unit(authd "Password checks of libmail" "" "# PAM modules run programs of their own: capabilities and new privileges stay.")
