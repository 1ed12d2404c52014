# Flags and the three kinds of target of this project.

set(ACE_WARNINGS -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wpointer-arith
                 -Wwrite-strings -Wundef -Wformat=2 -Wno-unused-parameter)
add_compile_options(${ACE_WARNINGS})
if(ACE_WERROR)
  add_compile_options(-Werror)
endif()
# Same sums on every build: the compiler may not reorder or fuse floating-point arithmetic that a source file wrote down.
add_compile_options(-ffp-contract=off -fno-math-errno)
add_compile_definitions(_POSIX_C_SOURCE=200809L _FILE_OFFSET_BITS=64)
if(ACE_SANITIZE)
  add_compile_options(-fsanitize=${ACE_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${ACE_SANITIZE})
endif()

# ace_room(NAME SOURCES... USES rooms... LIBS libraries...): one folder of src/, as objects that libraries and programs
# take in.
function(ace_room name)
  cmake_parse_arguments(R "" "" "SOURCES;USES;LIBS" ${ARGN})
  if(NOT R_SOURCES)
    set(R_SOURCES ${PROJECT_SOURCE_DIR}/cmake/empty.c)
  endif()
  add_library(ace_${name} STATIC ${R_SOURCES})
  target_include_directories(ace_${name} PUBLIC ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/src)
  foreach(used ${R_USES})
    target_link_libraries(ace_${name} PUBLIC ace_${used})
  endforeach()
  target_link_libraries(ace_${name} PUBLIC ${R_LIBS})
endfunction()

# ace_test(NAME ROOM): tests/test_NAME.c against a room and what it uses, run by CTest and labelled with the room. A test
# that takes minutes also gets the label "long": set_property(TEST NAME APPEND PROPERTY LABELS long).
function(ace_test name room)
  pkg_check_modules(CMOCKA REQUIRED IMPORTED_TARGET cmocka)
  add_executable(test_${name} ${PROJECT_SOURCE_DIR}/tests/test_${name}.c)
  target_include_directories(test_${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
  target_link_libraries(test_${name} PRIVATE ace_${room} PkgConfig::CMOCKA)
  target_compile_definitions(test_${name} PRIVATE ACE_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  add_test(NAME ${name} COMMAND test_${name})
  set_property(TEST ${name} APPEND PROPERTY LABELS ${room})
  add_dependencies(tests test_${name})
  add_dependencies(tests_${room} test_${name})
endfunction()

# ace_fuzz(NAME ROOM): fuzz/fuzz_NAME.c as a libFuzzer program; the target fuzzers builds all of them.
function(ace_fuzz name room)
  add_executable(fuzz_${name} ${PROJECT_SOURCE_DIR}/fuzz/fuzz_${name}.c)
  target_link_libraries(fuzz_${name} PRIVATE ace_${room})
  # libFuzzer calls LLVMFuzzerTestOneInput, which no header declares.
  target_compile_options(fuzz_${name} PRIVATE -Wno-missing-prototypes)
  target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
  add_dependencies(fuzzers fuzz_${name})
endfunction()
