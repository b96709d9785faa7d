using KQuant.Codecs;
using KQuant.Codecs.Conversion;
using KQuant.Codecs.Files;
using KQuant.Models.Adapters;
using KQuant.Models.Export;
using KQuant.TestKit;

namespace KQuant.Models.Tests.Adapters;

/// <summary>A model with an adapter in it computes what the model with the adapter beside it computes.</summary>
public class AdapterFusionTests
{
    private static readonly int[] Prompt = RandomCheckpoint.Prompt(9);

    private readonly TemporaryFolder _folder = new();
    private readonly RandomModels _models = new();
    private int _count;

    [OneTimeTearDown]
    public void TearDown()
    {
        _models.Dispose();
        _folder.Dispose();
    }

    [Test]
    public void FusedFloatsAreTheModelWithItsAdapter([Values] bool toGguf)
    {
        string model = RepositoryFiles.Fixture("models", "tiny-dense");
        LoraAdapter adapter = LoraAdapter.Load(TestAdapter.Reference("after5.b_nonzero").WritePeft(New()));
        string fused = Fuse(model, toGguf, QuantFormat.F32, new AppliedAdapter { Adapter = adapter, Scale = 3 });
        float[] expected = Logits(model, new AppliedAdapter { Adapter = adapter, Scale = 3 });
        Assert.That(Logits(fused), Is.EqualTo(expected).Within(1e-4));
        Assert.That(Logits(model), Is.Not.EqualTo(expected).Within(1e-2));
    }

    [Test]
    public void SeveralAreAddedOneAfterTheOther()
    {
        string model = RepositoryFiles.Fixture("models", "tiny-dense");
        AppliedAdapter[] adapters =
        [
            new() { Adapter = LoraAdapter.Load(TestAdapter.Reference("after5.b_nonzero").WriteMlx(New())) },
            new() { Adapter = LoraAdapter.Load(TestAdapter.Random(3, ("model.layers.2.mlp.up_proj", 768, 256), ("model.layers.0.self_attn.q_proj", 256, 256)).WriteMlx(New())), Scale = -0.5f },
        ];
        Assert.That(Logits(Fuse(model, false, QuantFormat.F32, adapters)), Is.EqualTo(Logits(model, adapters)).Within(1e-4));
    }

    [TestCase("phi3", "self_attn.k_proj", false)]
    [TestCase("phi3", "self_attn.qkv_proj", true)]
    [TestCase("phi3", "mlp.gate_up_proj", true)]
    [TestCase("llama3", "self_attn.q_proj", true)]
    [TestCase("llama3", "self_attn.k_proj", false)]
    [TestCase("llama3", "model.embed_tokens", true)]
    [TestCase("mixtral", "block_sparse_moe.switch_mlp.down_proj", true)]
    [TestCase("qwen3-moe", "mlp.switch_mlp.gate_proj", false)]
    [TestCase("qwen3-moe", "mlp.switch_mlp.up_proj", true)]
    public void EveryKindOfWeight(string name, string module, bool toGguf)
    {
        using LanguageModel model = _models.Load(name);
        string full = module.StartsWith("model.", StringComparison.Ordinal) ? module : "model.layers.1." + module;
        Products.ModelWeight[] weights = [.. model.Runner.Weights.Where(weight => weight.Name == full + ".weight")];
        weights = weights.Length > 0 ? weights : [.. model.Runner.Weights.Where(weight => weight.StoredName == full + ".weight")];
        int inputs = weights[0].Inputs, outputs = weights.Sum(weight => weight.Outputs), matrices = (int)weights[0].Tensor.Shape.Experts;
        string folder = TestAdapter.Random(2, (full, outputs, inputs)).WriteMlx(New());
        if (weights[0].IsStack)
        {
            TestAdapter.WriteTensors(
                folder, "adapters.safetensors", (full + ".lora_a", [matrices, 2, inputs], Numbers.Gaussian(matrices * 2 * inputs, 3)),
                (full + ".lora_b", [matrices, outputs, 2], [.. Numbers.Gaussian(matrices * outputs * 2, 4).Select(value => value / 64)]));
        }

        var adapter = new AppliedAdapter { Adapter = LoraAdapter.Load(folder) };
        float[] expected = Logits(model.Path, adapter);
        Assert.That(Logits(Fuse(model.Path, toGguf, QuantFormat.F32, adapter)), Is.EqualTo(expected).Within(2e-4));
        Assert.That(Numbers.Nmse(Logits(model.Path), expected), Is.GreaterThan(1e-6));
    }

    [Test]
    public void DoraToo()
    {
        using LanguageModel model = _models.Load("qwen2");
        const string module = "model.layers.0.self_attn.v_proj";
        int outputs = model.Config.KeyValueHeadCount * model.Config.HeadSize, inputs = model.Config.HiddenSize;
        TestAdapter random = TestAdapter.Random(2, (module, outputs, inputs));
        string folder = random.WritePeft(New(), """, "use_dora": true""");
        TestAdapter.WriteTensors(
            folder, "adapter_model.safetensors", ($"base_model.model.{module}.lora_A.weight", [2, inputs], random.Terms[module].A),
            ($"base_model.model.{module}.lora_B.weight", [outputs, 2], random.Terms[module].B),
            ($"base_model.model.{module}.lora_magnitude_vector", [outputs], [.. Enumerable.Range(1, outputs).Select(i => 0.1f * i)]));
        var adapter = new AppliedAdapter { Adapter = LoraAdapter.Load(folder) };
        Assert.That(Logits(Fuse(model.Path, false, QuantFormat.F32, adapter)), Is.EqualTo(Logits(model.Path, adapter)).Within(1e-3));
    }

    [Test]
    public void QuantizedWeightsKeepTheirCodecsAndOthersTheirBytes([Values(ModelKind.Mlx, ModelKind.Gguf)] ModelKind kind)
    {
        string model = ModelKinds.WriteQuantized("tiny-dense", kind, QuantFormat.Q4_K, _folder);
        var adapter = LoraAdapter.Load(TestAdapter.Reference("after5.b_nonzero").WriteMlx(New()));
        string fused = Fuse(model, kind == ModelKind.Gguf, null, new AppliedAdapter { Adapter = adapter });
        using ModelSource before = ModelSource.Open(model), after = ModelSource.Open(fused);
        TensorNames names = ModelTensorNames.For("qwen3");
        int changed = 0;
        foreach (ModelTensor tensor in before.Tensors)
        {
            Assert.That(after.TryGetTensor(tensor.Name, out ModelTensor? other), tensor.Name);
            Assert.That((other!.FormatName, other.ByteCount), Is.EqualTo((tensor.FormatName, tensor.ByteCount)), tensor.Name);
            string name = kind == ModelKind.Gguf && names.TryToCheckpoint(tensor.Name, out string? known) ? known : tensor.Name;
            byte[] expected = Bytes(tensor);
            if (adapter.Weights.FirstOrDefault(weight => weight.Name == name) is { } weight)
            {
                expected = Encode(tensor, weight);
                changed++;
            }

            Assert.That(Bytes(other), Is.EqualTo(expected), tensor.Name);
        }

        Assert.That(changed, Is.EqualTo(12));
        if (before is GgufModel gguf)
        {
            Assert.That(((GgufModel)after).Metadata.Get<uint>("general.file_type"), Is.EqualTo(gguf.Metadata.Get<uint>("general.file_type")));
        }

        Assert.That(Numbers.Nmse(Logits(fused), Logits(model, new AppliedAdapter { Adapter = adapter })), Is.LessThan(5e-2));

        static byte[] Bytes(ModelTensor tensor)
        {
            var bytes = new byte[tensor.ByteCount];
            tensor.ReadBytes(0, bytes);
            return bytes;
        }

        // The sum by hand: one fused multiply-add for each rank, in order.
        static byte[] Encode(ModelTensor tensor, LoraWeight weight)
        {
            var sum = new float[tensor.GetWeightCount()];
            tensor.ReadRows(0, sum);
            for (int row = 0; row < weight.Outputs; row++)
            {
                for (int k = 0; k < weight.Rank; k++)
                {
                    float factor = weight.Scale * weight.B.Span[(row * weight.Rank) + k];
                    for (int column = 0; column < weight.Inputs; column++)
                    {
                        ref float value = ref sum[(row * weight.Inputs) + column];
                        value = float.FusedMultiplyAdd(weight.A.Span[(k * weight.Inputs) + column], factor, value);
                    }
                }
            }

            using var encoded = QuantizedTensor.Encode(tensor.Codec!, new QuantShape(weight.Outputs, weight.Inputs), sum);
            var bytes = new byte[encoded.ByteCount];
            for (int row = 0; row < weight.Outputs; row++)
            {
                encoded.CopyRowBytes(row, bytes.AsSpan((int)(row * encoded.RowByteCount), (int)encoded.RowByteCount));
            }

            return bytes;
        }
    }

    [Test]
    public void DequantizedGgufHasFloatsEverywhere()
    {
        string model = ModelKinds.WriteQuantized("tiny-dense", ModelKind.Gguf, QuantFormat.Q8_0, _folder);
        var adapter = new AppliedAdapter { Adapter = LoraAdapter.Load(TestAdapter.Reference("init").WriteMlx(New())) };
        string fused = Fuse(model, true, QuantFormat.F16, adapter);
        using var file = GgufFile.Open(fused);
        Assert.That(file.Tensors.Where(tensor => tensor.Dimensions.Length > 1).Select(tensor => tensor.TypeName), Is.All.EqualTo("f16").IgnoreCase);
        Assert.That(file.Metadata.Get<uint>("general.file_type"), Is.EqualTo((uint)GgufFileType.F16));
    }

    [Test]
    public void WhatCannotBeFusedIsRefused()
    {
        string model = RepositoryFiles.Fixture("models", "tiny-dense"), output = New();
        var tied = new AppliedAdapter { Adapter = LoraAdapter.Load(TestAdapter.Random(2, ("model.embed_tokens", 2048, 256)).WritePeft(New())) };
        Assert.That(() => Fuse(model, false, null, tied), Throws.InstanceOf<NotSupportedException>().With.Message.Contains("one matrix cannot be both"));
        var other = new AppliedAdapter { Adapter = LoraAdapter.Load(TestAdapter.Random(2, ("model.layers.0.self_attn.q_proj", 64, 256)).WritePeft(New())) };
        Assert.That(() => Fuse(model, false, null, other), Throws.InstanceOf<ModelFormatException>().With.Message.Contains("[64, 256]"));
        Assert.That(Directory.Exists(output), Is.False);
    }

    private string New(string extension = "") => _folder[$"{_count++}{extension}"];

    private string Fuse(string model, bool toGguf, QuantFormat? floats, params AppliedAdapter[] adapters)
    {
        string output = New(toGguf ? ".gguf" : "");
        using var opened = ModelSource.Open(model);
        using ModelSource source = toGguf && opened is ModelFolder folder ? GgufExport.Create(folder, new GgufExportOptions { IncludeTokenizer = false }) : opened;
        ModelConverter.Convert(AdapterFusion.CreatePlan(source, adapters, floats is { } format ? QuantCodec.Get(format) : null), output);
        return output;
    }

    private static float[] Logits(string path, params AppliedAdapter[] adapters)
    {
        using var model = LanguageModel.Load(path, new ModelOptions { Adapters = adapters, LoadTokenizer = false });
        using KeyValueCache cache = model.CreateCache();
        return RandomModels.Logits(model, cache, Prompt);
    }
}
