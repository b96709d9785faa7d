using System.Globalization;
using KQuant.Codecs.Files;
using KQuant.Models.Configuration;

namespace KQuant.Models.Export;

/// <summary>
/// What a configuration asks for and a GGUF cannot say: llama.cpp would load the file and compute something else. Where that shows at once
/// it is an error, where only long texts differ it is a note. Whatever is not foreseen here, <see cref="CheckReadBack"/> finds.
/// </summary>
internal sealed class GgufChecks
{
    private const int MaxLayers = 512;
    private const int MaxExperts = 1024;

    private readonly string _path;
    private readonly CheckpointConfigReader _reader;
    private readonly ModelFamily _family;
    private readonly ModelConfig _config;
    private readonly List<string> _notes;

    private GgufChecks(string path, CheckpointConfigReader reader, ModelConfig config, List<string> notes)
    {
        (_path, _reader, _family, _config, _notes) = (path, reader, reader.Family, config, notes);
    }

    /// <summary>Checks a configuration.</summary>
    /// <param name="path">The checkpoint.</param>
    /// <param name="reader">Where the configuration comes from.</param>
    /// <param name="config">The configuration as llama.cpp understands it.</param>
    /// <param name="notes">Takes what a user should know.</param>
    public static void Check(string path, CheckpointConfigReader reader, ModelConfig config, List<string> notes)
    {
        var checks = new GgufChecks(path, reader, config, notes);
        checks.CheckLimits();
        checks.CheckRope();
        checks.CheckExperts();
        checks.CheckGemma();
        checks.CheckWindows();
        checks.AddWindowNotes();
    }

    /// <summary>Reads the configuration back from what will be written: it must be the one that the checkpoint has.</summary>
    /// <param name="export">The model with its tensors and metadata.</param>
    /// <param name="family">Its family.</param>
    /// <param name="config">The configuration as llama.cpp understands it.</param>
    /// <exception cref="NotSupportedException">It is another one; the message names the first field that differs.</exception>
    public static void CheckReadBack(GgufExport export, ModelFamily family, ModelConfig config)
    {
        ModelConfig expected = config with { InterleavedRope = family.InterleavedInGguf, NormsAddOne = false };
        if (ConfigFields.FindDifference(expected, GgufConfigReader.Read(export, ModelConventions.LlamaCpp)) is (string name, string one, string other))
        {
            throw Refuse(
                export.Path, $"{name} is {Printable.Shorten(one)} in config.json, but llama.cpp would compute with {Printable.Shorten(other)}");
        }
    }

    private static NotSupportedException Refuse(string path, string reason) => new($"{path} cannot become a GGUF: {reason}.");

    private NotSupportedException Refuse(string reason) => Refuse(_path, reason);

    private void CheckLimits()
    {
        if (_config.LayerCount > MaxLayers)
        {
            throw Refuse($"'num_hidden_layers' is {_config.LayerCount}; llama.cpp reads at most {MaxLayers}");
        }

        if (_config.Experts?.Count > MaxExperts)
        {
            throw Refuse($"there are {_config.Experts.Count} experts; llama.cpp reads at most {MaxExperts}");
        }
    }

    private void CheckRope()
    {
        // As Hugging Face has it: some kinds are another or none for llama.cpp.
        RopeKind kind = _reader.Ropes.Read(isLlamaCpp: false).Kind;
        if ((kind == RopeKind.Llama3 && !_family.IsLlama) || (kind == RopeKind.LongRope && _family.Architecture != "phi3"))
        {
            throw Refuse($"rope scaling '{kind.ToString().ToLowerInvariant()}' is not possible for architecture '{_family.Architecture}'");
        }

        if (_family.PermutesInGguf && _config.Rope.Dimensions != _config.HeadSize)
        {
            throw Refuse(
                $"partial_rotary_factor makes {_config.Rope.Dimensions} of {_config.HeadSize} values of a head rotate, but llama.cpp rotates all "
                + $"for architecture '{_family.Architecture}'");
        }

        if (kind == RopeKind.Dynamic)
        {
            _notes.Add(
                $"Dynamic rope scaling has no place in a GGUF: llama.cpp computes the same up to {_config.ContextLength} tokens, and something "
                + "else beyond.");
        }

        if (kind == RopeKind.Yarn && !_reader.Ropes.Read(isLlamaCpp: false).Truncate)
        {
            _notes.Add("llama.cpp rounds the bounds between the dimensions that yarn stretches and those that it keeps (truncate is false here).");
        }

        if (kind == RopeKind.Yarn && _reader.Ropes.FindNumber("attention_factor", "beta_fast", "beta_slow", "mscale") is not null)
        {
            _notes.Add("llama.cpp ignores attention_factor, beta_fast, beta_slow and mscale of yarn for this architecture.");
        }
    }

    private void CheckExperts()
    {
        if (_config.Experts is null)
        {
            return;
        }

        if (_family.Experts == ExpertStyle.Qwen3 && !_reader.Values.GetFlag("norm_topk_prob", false))
        {
            throw Refuse("norm_topk_prob is not true, but llama.cpp always normalizes the weights of the chosen experts of qwen3moe");
        }

        if (_family.Experts == ExpertStyle.Qwen2 && _reader.Values.GetFlag("norm_topk_prob", false))
        {
            throw Refuse("norm_topk_prob is true, but llama.cpp never normalizes the weights of the chosen experts of qwen2moe");
        }

        if (_family.Experts != ExpertStyle.Glm4 && !_config.Experts.Layers.IsEmpty)
        {
            throw Refuse("some of its layers are dense (mlp_only_layers, decoder_sparse_step), and llama.cpp's " + _family.Architecture + " has none");
        }
    }

    private void CheckGemma()
    {
        if (!_family.IsGemma)
        {
            return;
        }

        float scale = _reader.Values.GetNumber("query_pre_attn_scalar", 256);
        int assumed = _family.ScaleSizeInGguf(_config.HiddenSize, _config.LayerCount, _config.HeadCount, _config.HeadSize);
        if (scale != assumed)
        {
            throw Refuse(string.Create(
                CultureInfo.InvariantCulture,
                $"query_pre_attn_scalar is {scale}, but llama.cpp assumes {assumed} for {_family.Architecture} with {_config.LayerCount} layers"));
        }

        // llama.cpp divides by Gemma 2's bounds, so 0 is no way to say that there are none, and without the keys it takes these.
        CheckCap("attn_logit_softcapping", _config.AttentionSoftCap, _family.AttentionSoftCap);
        CheckCap("final_logit_softcapping", _config.LogitSoftCap, _family.LogitSoftCap);
        if (_family.Architecture == "gemma2" && _config.Windows.IsEmpty)
        {
            throw Refuse($"it has no sliding window, but llama.cpp applies one of {_family.Window} to gemma2");
        }

        if (_config.LocalRope is { Kind: not RopeKind.Default })
        {
            throw Refuse($"the frequencies of sliding layers are scaled, which a GGUF of architecture '{_family.Architecture}' cannot say");
        }
    }

    private void CheckWindows()
    {
        if (_family.Experts == ExpertStyle.GptOss && _config.Windows.IsEmpty)
        {
            throw Refuse($"it has no sliding window, but llama.cpp needs one for {_family.Architecture}");
        }

        if (_family.WindowedInGguf && !_config.Windows.IsEmpty
            && !_config.Windows.AsSpan().SequenceEqual(ModelFamily.SpreadWindow(_config.Windows.Max(), _config.LayerCount, _family.WindowPeriod).AsSpan()))
        {
            throw Refuse(
                $"layer_types or sliding_window_pattern does not have the order of sliding and full layers that llama.cpp assumes for "
                + $"{_family.Architecture}: one of {_family.WindowPeriod} is full");
        }
    }

    private void CheckCap(string key, float cap, float assumed)
    {
        if (cap <= 0 && assumed > 0)
        {
            throw Refuse(string.Create(
                CultureInfo.InvariantCulture,
                $"{key} is {cap:0.#} or null, which means no bound, but llama.cpp has one for {_family.Architecture} always ({assumed} if the file has none)"));
        }
    }

    private void AddWindowNotes()
    {
        if (_family.WindowedInGguf)
        {
            return;
        }

        int window = _reader.Read(ModelConventions.HuggingFace).Windows is { IsEmpty: false } windows ? windows.Max() : 0;
        if (window > 0 && window < _config.ContextLength)
        {
            _notes.Add($"llama.cpp knows no sliding window for this architecture: beyond {window} tokens it attends to more than the model was made for.");
        }
    }
}
