# Write init scripts to SYSTEM_OUT/SYSTEM_INIT and units to SYSTEM_OUT/SYSTEM_UNITS ("none": not), for programs in SYSTEM_SBIN.
# Run at configuration, for the tests, and by cmake --install.
set(here ${CMAKE_CURRENT_LIST_DIR})

function(lmail_init SERVICE ABOUT PROVIDES AFTER)
    if(NOT SYSTEM_INIT STREQUAL "none")
        configure_file(${here}/init.in ${SYSTEM_OUT}/${SYSTEM_INIT}/${SERVICE} @ONLY
            FILE_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
    endif()
endfunction()
lmail_init(sendmail "receives mail (smtpd)" " mail-transport-agent" " saslauthd")
lmail_init(dovecot "serves mailboxes by IMAP and POP3 (imapd, pop3d)" "" " saslauthd")
lmail_init(saslauthd "the accounts of the mail daemons" "" "")

# lmail_unit(daemon about after hardening port...): what root it needs decides about the rest.
function(lmail_unit DAEMON ABOUT UNIT_AFTER HARDENING)
    if(SYSTEM_UNITS STREQUAL "none")
        return()
    endif()
    configure_file(${here}/unit.in ${SYSTEM_OUT}/${SYSTEM_UNITS}/${DAEMON}.service @ONLY)
    if(ARGN)
        list(TRANSFORM ARGN PREPEND "ListenStream=" OUTPUT_VARIABLE streams)
        list(JOIN streams "\n" STREAMS)
        configure_file(${here}/socket.in ${SYSTEM_OUT}/${SYSTEM_UNITS}/${DAEMON}.socket @ONLY)
    endif()
endfunction()
set(bounds "CapabilityBoundingSet=CAP_NET_BIND_SERVICE CAP_SETUID CAP_SETGID CAP_CHOWN CAP_FOWNER CAP_DAC_OVERRIDE CAP_KILL CAP_SYS_RESOURCE
NoNewPrivileges=yes")
lmail_unit(smtpd "Mail receiver of libmail" " authd.service" "${bounds}" 25 587)
lmail_unit(imapd "IMAP server of libmail" " authd.service" "${bounds}" 143 993)
lmail_unit(pop3d "POP3 server of libmail" " authd.service" "${bounds}" 110 995)
# PAM modules start programs of their own, as unix_chkpwd, and want what root has.
lmail_unit(authd "Password checks of libmail" "" "# PAM modules run programs of their own: capabilities and new privileges stay.")
