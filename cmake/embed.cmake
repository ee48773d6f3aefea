# Turns files into constant byte arrays:
#   cmake -DOUTPUT=data.c -DHEADER=data.h -DFILES=name=path;name=path -P embed.cmake
# defines `const unsigned char name[]` and `const size_t name_size` for each; HEADER declares them.
set(text "#include \"${HEADER}\"\n")
foreach(entry IN LISTS FILES)
    string(REGEX MATCH "^([^=]+)=(.*)$" entry "${entry}")
    set(name ${CMAKE_MATCH_1})
    file(READ "${CMAKE_MATCH_2}" bytes HEX)
    string(LENGTH "${bytes}" digits)
    math(EXPR size "${digits} / 2")
    string(REGEX REPLACE "(................................)" "\\1\n    " bytes "${bytes}")
    string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1, " bytes "${bytes}")
    string(APPEND text "\nconst unsigned char ${name}[] = {\n    ${bytes}\n};\n"
                       "const size_t ${name}_size = ${size};\n")
endforeach()
file(WRITE "${OUTPUT}" "${text}")
