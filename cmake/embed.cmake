# ace_embed(TARGET NAME FILES...): puts files into a target, as the table `const embedded NAME[]` of base/embed.h.
#
#   ace_embed(ace_service examples_files examples/simple.json examples/custom.json)
#
# ace_embed_folder(TARGET NAME FOLDER): the same with every file below a folder that another tool fills. Its index.html
# stands for all of it: the files are looked up when that one has changed, and named by their path in there.
#
# Each entry is named by its path as written here, relative to the calling folder. The C source is made at build time, again
# whenever a file changes, by this same file run as a script; it holds the bytes and names only, so that equal files give
# equal programs wherever they are built.

if(CMAKE_SCRIPT_MODE_FILE STREQUAL CMAKE_CURRENT_LIST_FILE)
  # cmake -P embed.cmake -- OUTPUT NAME FOLDER [FILES...]; without files all of the folder
  set(args)
  set(first)
  math(EXPR last "${CMAKE_ARGC} - 1")
  foreach(i RANGE 1 ${last})
    if(first)
      list(APPEND args "${CMAKE_ARGV${i}}")
    elseif(CMAKE_ARGV${i} STREQUAL "--")
      set(first ${i})
    endif()
  endforeach()
  list(POP_FRONT args output name folder)
  if(NOT args)
    file(GLOB_RECURSE args LIST_DIRECTORIES false RELATIVE ${folder} ${folder}/*)
    list(SORT args)
  endif()
  set(arrays)
  set(table)
  set(n 0)
  foreach(file ${args})
    file(SIZE "${folder}/${file}" size)
    file(READ "${folder}/${file}" bytes HEX)
    string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
    string(REGEX REPLACE "(0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,)" "\\1\n" bytes
                         "${bytes}")
    # The zero at the end is not counted: text may be read as a string, and an empty file is still an array.
    string(APPEND arrays "static const unsigned char file${n}[] = {\n${bytes}0};\n")
    string(APPEND table "    {\"${file}\", file${n}, ${size}},\n")
    math(EXPR n "${n} + 1")
  endforeach()
  file(WRITE "${output}" "#include \"base/embed.h\"\n${arrays}const embedded ${name}[] = {\n${table}    {0},\n};\n")
  return()
endif()

set(ACE_EMBED_SCRIPT ${CMAKE_CURRENT_LIST_FILE})
function(ace_embed target name)
  set(output ${CMAKE_CURRENT_BINARY_DIR}/${name}.c)
  set(inputs ${ARGN})
  list(TRANSFORM inputs PREPEND "${CMAKE_CURRENT_SOURCE_DIR}/")
  add_custom_command(
    OUTPUT ${output}
    COMMAND ${CMAKE_COMMAND} -P ${ACE_EMBED_SCRIPT} -- ${output} ${name} ${CMAKE_CURRENT_SOURCE_DIR} ${ARGN}
    DEPENDS ${inputs} ${ACE_EMBED_SCRIPT}
    COMMENT "Embedding ${name}"
    VERBATIM)
  target_sources(${target} PRIVATE ${output})
endfunction()

function(ace_embed_folder target name folder)
  set(output ${CMAKE_CURRENT_BINARY_DIR}/${name}.c)
  add_custom_command(
    OUTPUT ${output}
    COMMAND ${CMAKE_COMMAND} -P ${ACE_EMBED_SCRIPT} -- ${output} ${name} ${folder}
    DEPENDS ${folder}/index.html ${ACE_EMBED_SCRIPT}
    COMMENT "Embedding ${folder}"
    VERBATIM)
  target_sources(${target} PRIVATE ${output})
endfunction()
