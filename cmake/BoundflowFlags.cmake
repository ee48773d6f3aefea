# bf_flags: how every C file of ours is compiled. bf_sanitize: the sanitizer part alone, which the
# generated ONNX reader gets too. bf_isa_flags(sources): the instruction sets of the kernel folders.

set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_C_FLAGS_RELEASE "-O3 -g1 -DNDEBUG")
if(BF_SANITIZE OR BF_FUZZ)
    set(CMAKE_C_FLAGS_DEBUG "-O1 -g -fno-omit-frame-pointer")
else()
    set(CMAKE_C_FLAGS_DEBUG "-O0 -g")
endif()

add_library(bf_sanitize INTERFACE)
if(BF_SANITIZE)
    target_compile_options(bf_sanitize INTERFACE -fsanitize=${BF_SANITIZE} -fno-sanitize-recover=all)
    target_link_options(bf_sanitize INTERFACE -fsanitize=${BF_SANITIZE})
endif()
if(BF_FUZZ)
    if(NOT CMAKE_C_COMPILER_ID MATCHES Clang)
        message(FATAL_ERROR "BF_FUZZ needs clang: use --preset fuzz")
    endif()
    target_compile_options(bf_sanitize INTERFACE -fsanitize=fuzzer-no-link)
endif()

# The arithmetic contract: no contraction, no fast-math. -fno-math-errno lets sqrt and fma inline.
add_library(bf_flags INTERFACE)
target_compile_options(bf_flags INTERFACE
    -Wall -Wextra -Wconversion -Wshadow -Wvla -ffp-contract=off -fno-math-errno
    $<$<BOOL:${BF_WERROR}>:-Werror>)
target_compile_definitions(bf_flags INTERFACE _GNU_SOURCE BF_VERSION="${BF_VERSION}")
target_include_directories(bf_flags INTERFACE ${CMAKE_SOURCE_DIR}/include ${CMAKE_SOURCE_DIR}/src)
target_link_libraries(bf_flags INTERFACE bf_sanitize)

# Files under src/kernels/<isa>/ alone may use that instruction set; who calls them asks the CPU first.
function(bf_isa_flags sources)
    set(avx2 -mavx2 -mfma)
    set(avx512 -mavx512f -mavx512dq -mavx512vl -mavx512bw -mavx2 -mfma)
    foreach(isa avx2 avx512)
        set(files ${sources})
        list(FILTER files INCLUDE REGEX "/src/kernels/${isa}/")
        if(files)
            set_source_files_properties(${files} PROPERTIES COMPILE_OPTIONS "${${isa}}")
        endif()
    endforeach()
endfunction()
