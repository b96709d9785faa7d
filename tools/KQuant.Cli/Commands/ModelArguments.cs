using System.CommandLine;
using KQuant.Cli.Rendering;
using KQuant.Matmul;
using KQuant.Models;

namespace KQuant.Cli.Commands;

/// <summary>The options of all verbs that run a model.</summary>
internal sealed class ModelArguments
{
    private readonly Option<string> _model = CommonOptions.Model("A checkpoint folder, or a GGUF file.");
    private readonly Option<int> _threads = CommonOptions.Threads();
    private readonly Option<CacheFormat> _cache = CommonOptions.Choice(
        "--kv", "How keys and values are remembered; 'f32' if not given.", ("f32", CacheFormat.F32), ("f16", CacheFormat.F16));
    private readonly Option<ActivationPrecision> _activations = CommonOptions.Choice(
        "--activations",
        "What activations are turned into before they meet quantized weights; 'int8' if not given.",
        ("int8", ActivationPrecision.Int8),
        ("f32", ActivationPrecision.Float32));
    private readonly Option<ModelConventions> _conventions = CommonOptions.Choice(
        "--conventions",
        "Whose behaviour to follow where implementations disagree; 'file' is Hugging Face's for folders and llama.cpp's for GGUF.",
        ("file", ModelConventions.FromFile),
        ("hf", ModelConventions.HuggingFace),
        ("llama.cpp", ModelConventions.LlamaCpp));
    private readonly Option<int> _context = CommonOptions.Number(
        "--context", "Tokens that a text may have; 0 for as many as the model was made for.", 0, 0, int.MaxValue);
    private readonly Option<int> _chunk = CommonOptions.Number("--chunk", "Tokens of a prompt that are read at once.", 512, 1, 65_536);

    /// <summary>Adds the options to a command.</summary>
    public void AddTo(Command command)
    {
        foreach (Option option in new Option[] { _model, _threads, _cache, _activations, _conventions, _context, _chunk })
        {
            command.Options.Add(option);
        }
    }

    /// <summary>The path of the model.</summary>
    public string GetPath(ParseResult parsed) => parsed.GetValue(_model)!;

    /// <summary>Loads the model.</summary>
    public LanguageModel Load(ParseResult parsed, CancellationToken cancellation, bool needsTokenizer = true, MatmulContext? context = null) =>
        Load(parsed, GetPath(parsed), cancellation, needsTokenizer, context);

    /// <summary>Loads another model with the same options.</summary>
    public LanguageModel Load(
        ParseResult parsed, string path, CancellationToken cancellation, bool needsTokenizer = true, MatmulContext? context = null)
    {
        int threads = parsed.GetThreads(_threads);
        var matmul = new MatmulOptions { Activations = parsed.GetValue(_activations) };
        var options = new ModelOptions
        {
            Conventions = parsed.GetValue(_conventions),
            CacheFormat = parsed.GetValue(_cache),
            ContextLength = parsed.GetValue(_context),
            ChunkSize = parsed.GetValue(_chunk),
            Matmul = threads < 0 ? matmul : matmul with { MaxThreads = threads },
            Context = context,
            LoadTokenizer = needsTokenizer,
        };
        LanguageModel? model = null;
        Progress.Show(_ => model = LanguageModel.Load(path, options, cancellationToken: cancellation));
        return model!;
    }
}
