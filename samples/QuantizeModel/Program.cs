using KQuant.Codecs;
using KQuant.Codecs.Conversion;
using KQuant.Codecs.Files;
using KQuant.Codecs.Recipes;

// QuantizeModel MODEL CODEC OUTPUT: a checkpoint folder becomes a checkpoint of K-quants, a GGUF file another GGUF file.
if (args is not [string path, string name, string output] || !QuantCodec.TryParse(name, out QuantCodec? codec))
{
    Console.Error.WriteLine("QuantizeModel MODEL CODEC OUTPUT, for example QuantizeModel Qwen3-0.6B q4_k Qwen3-0.6B-q4_k");
    return 2;
}

using ModelSource model = ModelSource.Open(path);
var plan = QuantizationPlan.Uniform(model, codec);                           // norms and other small tensors stay
ConversionReport report = ModelConverter.Convert(plan, output);               // appears when it is complete
foreach (FormatSummary format in report.Summarize())
{
    Console.WriteLine($"{format.FormatName}: {format.TensorCount} tensors, {format.Bytes} bytes{(format.Error is { } error ? $", NMSE {error.Nmse:E1}" : "")}");
}

return 0;
