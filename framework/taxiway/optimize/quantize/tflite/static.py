"""Static int8 quantization of a .tflite with AI Edge Quantizer."""

from __future__ import annotations

from typing import Any

from taxiway.model import Model
from taxiway.optimize.quantize.static import QuantizeStatic
from taxiway.plugins import Context


class TFLiteStatic(QuantizeStatic):
    """int8 by the TFLite 8-bit specification
    (https://ai.google.dev/edge/litert/models/quantization_spec).

    Ranges are the extremes over all calibration samples. The library's default, a moving average,
    depends on the order of the samples and clips: on the 1,000 samples of MLPerf Tiny's keyword
    spotting it gave 89.5 to 91.3 %, the extremes 90.9 to 91.9 % (float: 91.3 %).
    """

    libraries = ("ai-edge-quantizer", "ai-edge-litert")

    def check(self, options: Any) -> None:
        method = options.calibration.method
        if method != "minmax":
            raise ValueError(f"calibration.method '{method}' works on onnx only; tflite has minmax")

    def run(self, model: Model, options: Any, context: Context) -> Model:
        import os
        import warnings

        from ai_edge_quantizer import calibrator, qtyping, quantizer, recipe_manager
        from ai_edge_quantizer.utils.qsv_utils import min_max_update

        from taxiway.model.load_saved_model import choose_signature
        from taxiway.optimize.quantize.calibration import Feeds
        from taxiway.optimize.quantize.granularity import granularity_of
        from taxiway.optimize.quantize.tflite import quantizer as tflite

        content = tflite.float_content(model)
        quantizer_ = quantizer.Quantizer(content)
        quantizer_.add_static_config(
            ".*",
            qtyping.TFLOperationName.ALL_SUPPORTED,
            activation_num_bits=8,
            weight_num_bits=8,
            weight_granularity=qtyping.QuantGranularity(
                tflite.GRANULARITY[granularity_of(options.granularity, model)]
            ),
        )
        if options.io_dtype == "float32":
            for end in (qtyping.TFLOperationName.INPUT, qtyping.TFLOperationName.OUTPUT):
                quantizer_.update_quantization_recipe(".*", end, algorithm_key="no_quantize")
        recipe = recipe_manager.RecipeManager()
        recipe.load_quantization_recipe(quantizer_.get_quantization_recipe())
        feeds = Feeds(model, self.reads(options)[0], context)
        with warnings.catch_warnings():
            # It warns that keeping every tensor costs memory, which calibration is about.
            warnings.simplefilter("ignore", UserWarning)
            collector = calibrator.Calibrator(
                content, num_threads=os.cpu_count() or 1, qsv_update_func=min_max_update
            )
        signature = choose_signature(collector.get_signature_list())
        for feed in feeds:
            try:
                collector.calibrate({signature: [feed]}, recipe)
            except (RuntimeError, ValueError) as error:
                raise tflite.refusal(model, error) from error
        ranges = collector.get_model_qsvs()
        return tflite.write_quantized(quantizer_, ranges, model, "INT8", context)
