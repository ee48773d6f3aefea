# Compiles onnx.proto (of the system or of the onnx Python package, never committed) with protoc-c.
# bf_onnx_objects: the generated reader. bf_onnx_headers: makes "onnx.pb-c.h" includable.

set(hint "run 'make setup', or scripts/setup.sh build")

find_program(BF_PROTOC_C protoc-c)
if(NOT BF_PROTOC_C)
    message(FATAL_ERROR "protoc-c is missing: ${hint}")
endif()
find_path(BF_PROTOBUF_C_INCLUDE protobuf-c/protobuf-c.h)
find_library(BF_PROTOBUF_C_LIBRARY protobuf-c)
if(NOT BF_PROTOBUF_C_INCLUDE OR NOT BF_PROTOBUF_C_LIBRARY)
    message(FATAL_ERROR "protobuf-c is missing: ${hint}")
endif()

file(GLOB site_packages ${CMAKE_SOURCE_DIR}/.venv/lib/python3*/site-packages)
find_file(BF_ONNX_PROTO NAMES onnx.proto onnx-ml.proto
          PATHS ${site_packages} PATH_SUFFIXES onnx
          DOC "The schema of ONNX files: onnx.proto or onnx-ml.proto")
if(NOT BF_ONNX_PROTO)
    message(FATAL_ERROR "onnx.proto is missing: ${hint}, or give -DBF_ONNX_PROTO=FILE")
endif()

set(generated ${CMAKE_BINARY_DIR}/generated)
configure_file(${BF_ONNX_PROTO} ${generated}/onnx.proto COPYONLY)
add_custom_command(
    OUTPUT ${generated}/onnx.pb-c.c ${generated}/onnx.pb-c.h
    COMMAND ${BF_PROTOC_C} --c_out=${generated} -I${generated} ${generated}/onnx.proto
    DEPENDS ${generated}/onnx.proto
    COMMENT "Compiling onnx.proto" VERBATIM)

add_library(bf_onnx_objects OBJECT ${generated}/onnx.pb-c.c ${generated}/onnx.pb-c.h)
target_include_directories(bf_onnx_objects SYSTEM PUBLIC ${generated} ${BF_PROTOBUF_C_INCLUDE})
target_compile_options(bf_onnx_objects PRIVATE -w)
target_link_libraries(bf_onnx_objects PRIVATE bf_sanitize)

add_library(bf_onnx_headers INTERFACE)
add_dependencies(bf_onnx_headers bf_onnx_objects)
target_include_directories(bf_onnx_headers SYSTEM INTERFACE ${generated} ${BF_PROTOBUF_C_INCLUDE})
