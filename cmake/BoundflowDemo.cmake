# bf_embed_demo(target): gives |target| the files of models/ that `boundflow demo` carries with it.
function(bf_embed_demo target)
    set(models ${CMAKE_SOURCE_DIR}/models)
    set(model ${models}/digits_mlp.onnx)
    set(proved ${models}/vnnlib/digits_mlp_robust_eps0.03.vnnlib)
    set(refuted ${models}/vnnlib/digits_mlp_robust_eps0.12.vnnlib)
    set(files "bfi_demo_model=${model};bfi_demo_proved=${proved};bfi_demo_refuted=${refuted}")
    set(output ${CMAKE_BINARY_DIR}/generated/demo_data.c)
    set(script ${CMAKE_SOURCE_DIR}/cmake/embed.cmake)
    add_custom_command(
        OUTPUT ${output}
        COMMAND ${CMAKE_COMMAND} -DOUTPUT=${output} -DHEADER=demo_data.h "-DFILES=${files}"
                -P ${script}
        DEPENDS ${model} ${proved} ${refuted} ${script}
        COMMENT "Embedding the demo's model" VERBATIM)
    target_sources(${target} PRIVATE ${output})
endfunction()
