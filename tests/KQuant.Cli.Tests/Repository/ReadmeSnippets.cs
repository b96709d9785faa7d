using System.Net.Http.Json;
using System.Text.Json;
using KQuant.Codecs;
using KQuant.Codecs.Conversion;
using KQuant.Codecs.Files;
using KQuant.Codecs.Recipes;
using KQuant.Matmul;
using KQuant.Models;
using KQuant.Models.Export;
using KQuant.Models.Generation;
using KQuant.Server;
using KQuant.TestKit;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.AI;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace KQuant.Cli.Tests.Repository;

/// <summary>The C# of the README, compiled and run. <see cref="ReadmeTests"/> compares the regions with its code blocks.</summary>
public class ReadmeSnippets
{
    private TemporaryFolder _folder = null!;
    private string _previousFolder = "";
    private TextWriter _previousOutput = null!;

    [SetUp]
    public void SetUp()
    {
        _folder = new TemporaryFolder();
        _previousFolder = Environment.CurrentDirectory;
        Environment.CurrentDirectory = _folder.Path;
        _previousOutput = Console.Out;
        Console.SetOut(TextWriter.Null);
    }

    [TearDown]
    public void TearDown()
    {
        Console.SetOut(_previousOutput);
        Environment.CurrentDirectory = _previousFolder;
        _folder.Dispose();
    }

    [Test]
    public void EncodeAndDecode()
    {
        float[] weights = TestModels.Weights(1, 512), importance = [.. TestModels.Weights(2, 512).Select(Math.Abs)];
        #region encode
        QuantCodec q4k = QuantCodec.Get(QuantFormat.Q4_K);                  // or QuantCodec.TryParse("q4_k", out ...)
        byte[] wire = new byte[q4k.GetByteCount(weights.Length)];          // 144 bytes for every 256 weights
        q4k.Encode(weights, wire);                                         // the bytes ggml writes

        float[] decoded = new float[weights.Length];
        q4k.Decode(wire, decoded);
        Console.WriteLine($"NMSE {WeightError.Measure(weights, decoded).Nmse:G3}");

        q4k.Encode(weights, wire, new EncodeOptions { Importance = importance });       // llama.cpp's bytes with an imatrix
        q4k.Encode(weights, wire, new EncodeOptions { Mode = EncodeMode.Best });        // the lowest error in the same format
        #endregion
        Assert.That(wire, Has.Some.Not.Zero);
        Assert.That(WeightError.Measure(weights, decoded).Nmse, Is.InRange(1e-4, 1e-2));
    }

    [Test]
    public void ReadModels()
    {
        TestModels.WriteGguf("model.gguf");
        #region read
        using ModelSource model = ModelSource.Open("model.gguf");         // or a checkpoint folder, or model.safetensors
        foreach (ModelTensor tensor in model.Tensors)
        {
            Console.WriteLine($"{tensor.Name} {tensor.FormatName} [{string.Join(", ", tensor.Shape)}]");
        }

        if (model.TryGetTensor("blk.0.attn_q.weight", out ModelTensor? query))
        {
            float[] row = new float[query.Shape[^1]];
            query.ReadRows(firstRow: 7, row);                              // decodes one row; the rest stays on the disk
        }
        #endregion
        Assert.That(query, Is.Not.Null);
    }

    [Test]
    public void QuantizeAModel()
    {
        CopyModel("Qwen3-0.6B");
        #region quantize
        using ModelSource source = ModelSource.Open("Qwen3-0.6B");
        var plan = QuantizationPlan.Uniform(source, QuantCodec.Get(QuantFormat.Q5_K));
        ConversionReport report = ModelConverter.Convert(
            plan,
            "Qwen3-0.6B-q5_k",
            new ConversionOptions { Mode = EncodeMode.Best },
            new Progress<ModelProgress>(p => Console.Write($"\r{100.0 * p.BytesDone / p.TotalBytes:F0} % {p.TensorName}")));
        foreach (FormatSummary format in report.Summarize())
        {
            Console.WriteLine($"{format.FormatName}: {format.TensorCount} tensors, {format.Bytes} bytes, RMSE {format.Error?.Rmse:G3}");
        }
        #endregion
        Assert.That(report.Tensors.Count(tensor => tensor.Planned.FormatName == "q5_k"), Is.EqualTo(22));
    }

    [Test]
    public void ExportAGguf()
    {
        CopyModel("Qwen3-0.6B");
        #region export
        using var export = GgufExport.Create(ModelFolder.Open("Qwen3-0.6B"));      // names, metadata, tokenizer as llama.cpp has them
        var gguf = QuantizationPlan.Uniform(export, QuantCodec.Get(QuantFormat.Q4_K));
        ModelConverter.Convert(gguf, "Qwen3-0.6B-q4_k.gguf");
        #endregion
        using GgufFile file = GgufFile.Open("Qwen3-0.6B-q4_k.gguf");
        Assert.That(file.Metadata.ContainsKey("tokenizer.ggml.tokens"));
    }

    [Test]
    public void WriteAGguf()
    {
        float[] weights = TestModels.Weights(1, 4096 * 32);
        #region write
        using var matrix = QuantizedTensor.Encode(
            QuantCodec.Get(QuantFormat.Q6_K), new QuantShape(32, 4096), weights, new EncodeOptions { MaxDegreeOfParallelism = -1 });
        var writer = new GgufWriter();
        writer.Metadata.Set("general.architecture", "my-model");
        writer.Metadata.SetFileType(GgufFileType.Q6_K);
        writer.Add("blk.0.ffn_down.weight", matrix);
        writer.Write("my-model.gguf");                                     // appears when it is complete
        #endregion
        using GgufFile file = GgufFile.Open("my-model.gguf");
        Assert.That(file.GetTensor("blk.0.ffn_down.weight").UnsafeGetRowBytes(31).SequenceEqual(matrix.UnsafeGetRowBytes(31)));
    }

    [Test]
    public void Multiply()
    {
        TestModels.WriteGguf("model.gguf");
        float[] x = TestModels.Weights(1, 3 * 256);
        #region multiply
        using GgufFile file = GgufFile.Open("model.gguf");
        QuantizedTensor weights = file.GetTensor("blk.0.attn_q.weight");       // [outputs, inputs], a view of the file
        using var context = new MatmulContext();                               // threads and scratch memory: one for the whole program
        float[] y = new float[x.Length / weights.Shape.Columns * weights.Shape.Rows];
        QuantizedMatmul.Multiply(weights, x, y, context);                      // y = x W^T, rows of x one after the other

        float[] dx = new float[x.Length];
        QuantizedMatmul.MultiplyTransposed(weights, y, dx, context);           // dx = dy W, the gradient for x

        using PackedTensor packed = PackedTensor.Pack(weights, context);       // arranged once, for small batches all day
        QuantizedMatmul.Multiply(packed, x, y, context);
        #endregion
        Assert.That(y, Has.None.NaN.And.Some.Not.Zero);
        Assert.That(dx, Has.None.NaN.And.Some.Not.Zero);
    }

    [Test]
    public async Task RunAModel()
    {
        CopyModel("Qwen3-0.6B");
        #region run
        using LanguageModel model = await LanguageModel.LoadAsync("Qwen3-0.6B");        // or a GGUF file, or an MLX checkpoint
        var options = new GenerationOptions
        {
            MaxTokens = 64,
            Sampling = new SamplingOptions { Temperature = 0.7f, TopP = 0.9f, Seed = 1 },
            StopSequences = ["\n\n"],
        };
        await foreach (GeneratedToken token in model.GenerateAsync("It was a dark evening, and", options))
        {
            Console.Write(token.Text);                                     // token.LogProbability, token.FinishReason
        }
        #endregion
        Assert.That(model.Config.Architecture, Is.EqualTo("qwen3moe"));
    }

    [Test]
    public async Task RunAModelBehindTheCommonInterface()
    {
        CopyModel("Qwen3-0.6B");
#pragma warning disable CA1859 // the interface is the point
        #region extensions
        using IChatClient client = LanguageModel.Load("Qwen3-0.6B").AsIChatClient(ownsModel: true);
        await foreach (ChatResponseUpdate update in client.GetStreamingResponseAsync("What do you think of Mr. Darcy?"))
        {
            Console.Write(update.Text);
        }
        #endregion
#pragma warning restore CA1859
        Assert.That(client.GetService(typeof(LanguageModel)), Is.Not.Null);
    }

    [Test]
    public async Task Serve()
    {
        const string Urls = "ASPNETCORE_URLS";
        File.CreateSymbolicLink(_folder["Qwen3-0.6B"], TestModels.TinyDense);
        string? previous = Environment.GetEnvironmentVariable(Urls);
        Environment.SetEnvironmentVariable(Urls, "http://127.0.0.1:0");
        try
        {
            var stop = new CancellationToken(canceled: true);

            #region serve
            WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
            builder.Services.AddKQuant("Qwen3-0.6B", options => options.Parallel = 16);
            WebApplication app = builder.Build();
            app.MapKQuantApi();
            await app.RunAsync(stop);                                          // until Ctrl-C, or the token
            #endregion
        }
        catch (OperationCanceledException)
        {
            // The host may see that it is to stop before it has started.
        }
        finally
        {
            Environment.SetEnvironmentVariable(Urls, previous);
        }
    }

    [Test]
    public async Task Ask()
    {
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        builder.Services.AddKQuant(TestModels.TinyDense);
        await using WebApplication app = builder.Build();
        app.MapKQuantApi();
        await app.StartAsync();
        string address = app.Urls.Single();
        using var written = new StringWriter();
        Console.SetOut(written);

        #region ask
        using var client = new HttpClient { BaseAddress = new Uri(address) };
        using HttpResponseMessage response = await client.PostAsJsonAsync("/v1/chat/completions", new
        {
            messages = new[] { new { role = "user", content = "Who is Elizabeth?" } },
            max_tokens = 64,
        });
        JsonElement answer = await response.Content.ReadFromJsonAsync<JsonElement>();
        Console.WriteLine(answer.GetProperty("choices")[0].GetProperty("message").GetProperty("content"));
        #endregion

        Assert.That(written.ToString(), Has.Length.GreaterThan(5));
    }

    private static void CopyModel(string folder)
    {
        Directory.CreateDirectory(folder);
        foreach (string file in Directory.GetFiles(TestModels.TinyMoe))
        {
            File.Copy(file, Path.Combine(folder, Path.GetFileName(file)));
        }
    }
}
