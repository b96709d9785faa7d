using System.CommandLine;
using System.Globalization;
using KQuant.Cli.Rendering;
using KQuant.Codecs;
using KQuant.Codecs.Files;
using KQuant.Matmul.Backends;
using KQuant.Models;
using KQuant.Models.Calibration;
using static System.FormattableString;

namespace KQuant.Cli.Commands;

/// <summary><c>kquant imatrix calibrate</c>: what the weights of a model are multiplied with while it reads a text.</summary>
internal static class ImatrixCalibrateCommand
{
    /// <summary>Chunks between two saves of the checkpoint.</summary>
    private const int SaveInterval = 16;

    internal static Command Create(string name)
    {
        var arguments = new ModelArguments();
        var corpus = new Option<string>("--corpus", "--file") { Description = "The text, UTF-8.", HelpName = "file", Required = true };
        Option<string> output = ImatrixFiles.Output();
        Option<int> ctx = CommonOptions.Number("--ctx", "Tokens of a chunk.", 512, 1, int.MaxValue);
        Option<int> chunks = CommonOptions.Number("--chunks", "Chunks to use; 0 for all.", 0, 0, int.MaxValue);
        Option<TextStream> stream = CommonOptions.Choice(
            "--stream",
            "How the text becomes chunks: as llama-imatrix has it (special tokens, each chunk begins with the one that begins texts, the rest is "
            + "left out) or as mlx-kquant has it (none of it, and half a chunk counts); 'llama.cpp' if not given.",
            ("llama.cpp", TextStream.LlamaCpp),
            ("mlx-kquant", TextStream.MlxKquant));
        Option<bool> parseSpecial = new("--parse-special") { Description = "Take names of special tokens in the text for these tokens." };
        Option<int> prior = ImatrixFiles.Prior();
        Option<int> floor = CommonOptions.Number(
            "--coverage-floor",
            "Percent of an even share of the tokens that each expert gets; those with less are given more in a second pass. 0 for none.", 0, 0, 100);
        Option<int> losses = CommonOptions.Number(
            "--losses",
            "Tokens on which to measure what errors of each tensor cost, for 'quantize --target-size'; they are read once for each tensor. 0 for none.",
            0, 0, 1_000_000);
        var checkpoint = new Option<string>("--checkpoint")
        {
            Description = "Save what was gathered in this file now and then, and go on from it if it is there.",
            HelpName = "file",
        };
        Option<JobShard> shard = CommonOptions.Shard(
            "Read only the chunks of part I of N, and measure the losses of so many tensors, into OUTPUT.parts; 'imatrix merge' makes one of all.");
        Option<bool> overwrite = CommonOptions.Overwrite();
        var command = new Command(name, "Let a text run through a model and write what its weights are multiplied with as an importance matrix.")
        {
            corpus, output, ctx, chunks, stream, parseSpecial, prior, floor, losses, checkpoint, shard, overwrite,
        };
        arguments.AddTo(command);
        command.Validators.Add(result =>
        {
            if (result.GetResult(shard) is null)
            {
                return;
            }

            if (CommonOptions.ValueOf(result.GetResult(prior)) is > 0)
            {
                result.AddError("--prior-weight counts once for all parts; give it to 'imatrix merge' instead of with --shard.");
            }
            else if (CommonOptions.ValueOf(result.GetResult(floor)) is > 0)
            {
                result.AddError("--coverage-floor looks at all of the text, so it does not go with --shard.");
            }
            else if (result.GetResult(output) is { Tokens: [{ Value: string name }] } && ImatrixFiles.FormatOf(name) != ImportanceFormat.Gguf)
            {
                result.AddError("Parts of a calibration are GGUF files; 'imatrix merge' writes the older form, too.");
            }
        });
        command.SetWork((parsed, cancellationToken) =>
        {
            string target = parsed.GetValue(output)!, file = parsed.GetValue(corpus)!;
            JobShard? share = parsed.GetValue(shard);
            target = share?.GetPartPath(target, ".gguf") ?? target;
            if (share is null && File.Exists(target) && !parsed.GetValue(overwrite))
            {
                throw new CommandException($"{target} exists; --overwrite replaces it.");
            }

            string text = Utf8Reader.ReadFile(file);
            using MatmulBackend? device = arguments.OpenDevice(parsed);
            using LanguageModel model = arguments.Load(parsed, device, cancellationToken);
            bool isPlain = parsed.GetValue(stream) == TextStream.MlxKquant;
            int[] tokens = model.Tokenizer.Encode(text, !isPlain, parsed.GetValue(parseSpecial));
            var options = new CalibrationOptions
            {
                ChunkLength = parsed.GetValue(ctx),
                MaxChunks = parsed.GetValue(chunks),
                FirstToken = !isPlain && model.Tokenizer.AddsBos ? model.Tokenizer.BosId : null,
                KeepsRest = isPlain,
                CoverageFloor = parsed.GetValue(floor) / 100.0,
                Dataset = Path.GetFileName(file),
                Shard = share,
            };
            using var calibrator = new ImportanceCalibrator(model, options);
            if (share is not null && File.Exists(target) && !parsed.GetValue(overwrite))
            {
                KeepPart(target, calibrator.OriginOf(tokens), parsed.InvocationConfiguration.Output);
                return;
            }

            string? state = parsed.GetValue(checkpoint);
            if (state is not null && File.Exists(state))
            {
                calibrator.Resume(state, tokens);
            }

            var run = new Run(calibrator, tokens, state, target, parsed.GetValue(prior));
            try
            {
                Progress.Show("Calibrating", show =>
                {
                    calibrator.Run(tokens, run.Report(show), cancellationToken);
                    if (parsed.GetValue(losses) is > 0 and int count)
                    {
                        calibrator.MeasureLosses(tokens, count, new TensorReporter(show), cancellationToken);
                    }
                });
            }
            catch (OperationCanceledException)
            {
                // What was done is worth keeping; the exit code still says that it is not all.
                if (share is not null)
                {
                    // Half a part would look like a whole one.
                    run.Save();
                }
                else if (calibrator.ChunkCount > 0)
                {
                    run.Finish();
                    parsed.InvocationConfiguration.Error.WriteLine($"{target} has the first {calibrator.ChunkCount} chunks.");
                }

                throw;
            }

            run.Finish();
            Write(parsed.InvocationConfiguration.Output, calibrator, options, target);
        });
        return command;
    }

    /// <summary>A part that is there stays if it is this one.</summary>
    private static void KeepPart(string target, string origin, TextWriter output)
    {
        using ImportanceMatrix there = ImportanceMatrix.Open(target);
        if (there.Part?.Origin != origin)
        {
            throw new CommandException(PlainText.OneLine(
                $"{target} is there and is part of another calibration: {there.Part?.Origin ?? "none"}; not {origin}; --overwrite replaces it."));
        }

        output.WriteLine($"{target} was there already, of the same model, text and options.");
    }

    private static void Write(TextWriter output, ImportanceCalibrator calibrator, CalibrationOptions options, string target)
    {
        if (calibrator.Coverage is { Count: > 0 } coverage)
        {
            var table = new TextTable("experts", "least", "median", "most", "unseen");
            foreach (ExpertCoverage stack in coverage)
            {
                long[] counts = [.. stack.Counts.Order()];
                table.Add(
                    stack.Name, Text(counts[0]), Text(counts[counts.Length / 2]), Text(counts[^1]), Text(stack.Unseen));
            }

            table.Write(output);
        }

        output.WriteLine(Invariant($"Wrote {target}: {calibrator.ChunkCount} chunks of {options.ChunkLength} tokens."));

        static string Text(long value) => value.ToString(CultureInfo.InvariantCulture);
    }

    private sealed class TensorReporter(Action<string> show) : IProgress<CalibrationProgress>
    {
        public void Report(CalibrationProgress value) => show(Invariant($"losses of tensor {value.Chunks} of {value.TotalChunks}"));
    }

    private sealed class Run(ImportanceCalibrator calibrator, int[] tokens, string? state, string target, int prior)
    {
        public IProgress<CalibrationProgress> Report(Action<string> show) => new Reporter(this, show);

        public void Finish()
        {
            Save();
            using ImportanceMatrix matrix = calibrator.ToMatrix(prior);
            using var above = FoldersAbove.Create(target);
            matrix.Write(target, ImatrixFiles.FormatOf(target));
        }

        public void Save()
        {
            if (state is not null)
            {
                calibrator.Save(state, tokens);
            }
        }

        private sealed class Reporter(Run run, Action<string> show) : IProgress<CalibrationProgress>
        {
            public void Report(CalibrationProgress value)
            {
                show(value.IsCovering
                    ? Invariant($"chunk {value.Chunks - value.TotalChunks} again, for experts that were rarely chosen")
                    : Invariant($"chunk {value.Chunks} of {value.TotalChunks}"));
                if (value.Chunks % SaveInterval == 0)
                {
                    run.Save();
                }
            }
        }
    }
}
