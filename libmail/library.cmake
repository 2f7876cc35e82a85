# Functions that the CMake lists share.

# lmail_library(target file_name map rooms...): the objects once, then a shared and a static library of them, target and
# target_static; aliases libmail::mail and so on, as an installed tree names them. No sources: no targets.
function(lmail_library target file_name map)
    set(sources "")
    foreach(room IN LISTS ARGN)
        file(GLOB files CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/libmail/${room}/*.c)
        list(APPEND sources ${files})
    endforeach()
    if(NOT sources)
        message(STATUS "${file_name}: no sources yet")
        return()
    endif()

    add_library(${target}_objects OBJECT ${sources})
    # A host cannot replace one of our functions inside the library, so calls among them need no detour.
    target_compile_options(${target}_objects PRIVATE -fno-semantic-interposition)
    # libmail/ too, so that one room reads another's header as "codec/codec_internal.h".
    target_include_directories(${target}_objects PRIVATE ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/libmail)

    add_library(${target} SHARED $<TARGET_OBJECTS:${target}_objects>)
    add_library(${target}_static STATIC $<TARGET_OBJECTS:${target}_objects>)
    foreach(library ${target} ${target}_static)
        target_include_directories(${library} PUBLIC
            $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
        string(REPLACE "mail_host" "host" exported ${library})
        add_library(libmail::${exported} ALIAS ${library})
        set_target_properties(${library} PROPERTIES
            OUTPUT_NAME ${file_name} EXPORT_NAME ${exported} LINKER_LANGUAGE C)
    endforeach()

    # The export map is the second fence behind hidden visibility.
    set(map ${PROJECT_SOURCE_DIR}/libmail/${map})
    set_target_properties(${target} PROPERTIES
        VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR} LINK_DEPENDS ${map})
    target_link_options(${target} PRIVATE -Wl,--version-script=${map})
    if(NOT LIBMAIL_SANITIZE) # a sanitizer's run time is linked into the program, not the library
        target_link_options(${target} PRIVATE -Wl,--no-undefined)
    endif()
endfunction()

# lmail_link(target file kind): give a program the shared or the static libmail; also libmail-host if the first line of
# its file says "links: host".
function(lmail_link target file kind)
    set(suffix "")
    if(kind STREQUAL "static")
        set(suffix _static)
    endif()
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
    file(STRINGS ${file} head LIMIT_COUNT 1)
    if(head MATCHES "links: host" AND TARGET mail_host)
        target_link_libraries(${target} PRIVATE mail_host${suffix})
    elseif(TARGET mail)
        target_link_libraries(${target} PRIVATE mail${suffix})
    endif()
endfunction()
