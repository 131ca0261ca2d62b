# What is installed: the command with its man page and completion, one header, the library, and how others find it.
if(NOT NASC_SANITIZE)
  install(TARGETS nasc_tool RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
  install(TARGETS nasc_shared EXPORT nascTargets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
  install(FILES ${NASC_ARCHIVE} DESTINATION ${CMAKE_INSTALL_LIBDIR})
  install(FILES include/nasc.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
  install(FILES ${CMAKE_CURRENT_BINARY_DIR}/nasc.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
  install(FILES ${CMAKE_CURRENT_BINARY_DIR}/nasc.bash RENAME nasc
          DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)

  configure_file(cmake/nasc.pc.in nasc.pc @ONLY)
  install(FILES ${CMAKE_CURRENT_BINARY_DIR}/nasc.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

  set(NASC_CMAKE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/nasc)
  install(EXPORT nascTargets NAMESPACE nasc:: DESTINATION ${NASC_CMAKE_DIR})
  configure_package_config_file(cmake/nascConfig.cmake.in nascConfig.cmake INSTALL_DESTINATION ${NASC_CMAKE_DIR})
  write_basic_package_version_file(nascConfigVersion.cmake COMPATIBILITY SameMinorVersion)
  install(FILES ${CMAKE_CURRENT_BINARY_DIR}/nascConfig.cmake ${CMAKE_CURRENT_BINARY_DIR}/nascConfigVersion.cmake
          DESTINATION ${NASC_CMAKE_DIR})
  set_target_properties(nasc_shared PROPERTIES EXPORT_NAME nasc)
endif()
