using KQuant.Codecs;
using KQuant.Codecs.Conversion;
using KQuant.Codecs.Files;
using KQuant.Codecs.Recipes;
using KQuant.Models;
using KQuant.Models.Export;

// Conversion OUTPUT MODEL...: checkpoint folders become GGUF files by a rule of this program, and every file is checked against its folder.
if (args is not [string output, .. { Length: > 0 } folders])
{
    Console.Error.WriteLine("Conversion OUTPUT MODEL...");
    return 2;
}

int failed = 0;
foreach (string folder in folders)
{
    try
    {
        using var source = GgufExport.Create(ModelFolder.Open(folder));
        string target = Path.Combine(output, Path.GetFileName(folder) + ".gguf");
        ConversionReport report = ModelConverter.Convert(
            QuantizationPlan.Create(source, Choose), target, new ConversionOptions { MeasureError = true }, new Log());
        foreach (string note in report.Notes)
        {
            Console.WriteLine("note: " + note);
        }

        foreach (FormatSummary format in report.Summarize())
        {
            Console.WriteLine($"{format.FormatName}: {format.TensorCount} tensors, {format.Bytes} bytes{(format.Error is { } error ? $", NMSE {error.Nmse:E1}" : "")}");
        }

        using ModelSource made = ModelSource.Open(target);
        VerificationReport check = ModelVerifier.Verify(made, source, new VerificationOptions { FindProblems = ModelLayout.FindProblems });
        Console.WriteLine($"{Path.GetFileName(target)}: {report.SourceBytes / (double)report.Bytes:F2} times smaller, {(check.Passed ? "verified" : string.Join(' ', check.Problems))}");
        failed += check.Passed ? 0 : 1;
    }
    catch (Exception exception) when (exception is KQuantException or IOException or NotSupportedException)
    {
        failed++;
        Console.WriteLine(exception.Message);
    }
}

return failed == 0 ? 0 : 1;

// Null keeps a tensor; norms, routers and what is no matrix stay by themselves, and rows that are no whole blocks get the next codec.
static QuantCodec? Choose(ModelTensor tensor, TensorRole role) => role switch
{
    TensorRole.Embedding or TensorRole.OutputHead => QuantCodec.Get(QuantFormat.Q8_0),
    TensorRole.Attention or TensorRole.AttentionOutput => QuantCodec.Get(QuantFormat.Q6_K),
    _ when tensor.Name.EndsWith("ffn_down.weight") => QuantCodec.Get(QuantFormat.Q5_K),
    TensorRole.FeedForward or TensorRole.RoutedExpert => QuantCodec.Get(QuantFormat.Q4_K),
    _ => null,
};

/// <summary>A line for every tenth tensor, as it is begun.</summary>
internal sealed class Log : IProgress<ModelProgress>
{
    private int _last = -1;

    public void Report(ModelProgress value)
    {
        if (value.TensorIndex / 10 > _last)
        {
            _last = value.TensorIndex / 10;
            Console.WriteLine($"{value.TensorIndex} of {value.TensorCount}: {value.TensorName}");
        }
    }
}
