# The shared library, its pkg-config file and `cmake --install`.
#
# libacestep holds every room up to the engine. Its exported names are those that include/acestep.h declares: the header
# gives them default visibility, everything else is hidden, and acestep.map gives them their version.

add_library(acestep_shared SHARED cmake/empty.c)
foreach(room ${ACE_ROOMS})
  target_sources(acestep_shared PRIVATE $<TARGET_OBJECTS:ace_${room}>)
  if(room STREQUAL "engine")
    break()
  endif()
endforeach()
# For the libraries that the rooms need; the archives themselves add nothing to the objects above.
target_link_libraries(acestep_shared PRIVATE ace_engine)
target_include_directories(acestep_shared INTERFACE $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
                                                    $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
target_link_options(acestep_shared PRIVATE LINKER:--version-script=${PROJECT_SOURCE_DIR}/cmake/acestep.map
                                           LINKER:--as-needed)
set_target_properties(
  acestep_shared
  PROPERTIES OUTPUT_NAME acestep
             VERSION ${PROJECT_VERSION}
             SOVERSION ${PROJECT_VERSION_MAJOR}
             PUBLIC_HEADER ${PROJECT_SOURCE_DIR}/include/acestep.h
             LINK_DEPENDS ${PROJECT_SOURCE_DIR}/cmake/acestep.map)

file(RELATIVE_PATH ACE_PC_TO_PREFIX /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
string(REGEX REPLACE "/$" "" ACE_PC_TO_PREFIX ${ACE_PC_TO_PREFIX})
configure_file(cmake/acestep.pc.in ${PROJECT_BINARY_DIR}/acestep.pc @ONLY)

install(
  TARGETS acestep_shared
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
  PUBLIC_HEADER DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES ${PROJECT_BINARY_DIR}/acestep.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
install(FILES README.md LICENSE THIRD_PARTY.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(FILES examples/song.c examples/batch.c DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples)
