using System.CommandLine;
using System.Runtime.InteropServices;
using KQuant.Cli.Chat;
using KQuant.Matmul.Backends;
using KQuant.Models;

namespace KQuant.Cli.Commands;

/// <summary><c>kquant chat</c>: a conversation.</summary>
internal static class ChatCommand
{
    internal static Command Create()
    {
        var arguments = new ModelArguments();
        var sampling = new SamplingArguments();
        Option<int> maxTokens = CommonOptions.MaxTokens("Tokens of an answer at most.", 256);
        Option<int> maxKvSize = CommonOptions.Number(
            "--max-kv-size", "Tokens to remember at most, the first four and the last ones; 0 for all.", 0, 0, int.MaxValue);
        var system = new Option<string>("--system-prompt") { Description = "A system message before the conversation.", HelpName = "text" };
        var noHistory = new Option<bool>("--no-history") { Description = "Neither read nor write the file of earlier lines." };
        var command = new Command("chat", "Talk with a model. Ctrl-C ends an answer, or the chat; 'h' lists the commands.")
        {
            system, maxTokens, maxKvSize, noHistory,
        };
        arguments.AddTo(command);
        sampling.AddTo(command);
        command.SetWork((parsed, cancellationToken) =>
        {
            CommandStreams streams = parsed.GetStreams();
            TextWriter output = streams.Output;
            using MatmulBackend? device = arguments.OpenDevice(parsed);
            using LanguageModel model = arguments.Load(parsed, device, cancellationToken);
            var history = new ChatHistory(ChatHistory.DefaultPath, isKept: !parsed.GetValue(noHistory) && !streams.IsInputPiped);
            IChatInput input = streams.IsInputPiped ? new PipedInput(streams.Input) : new ConsoleInput(output, history, ChatLoop.Complete);
            var settings = new ChatSettings(sampling.Read(parsed, model), parsed.GetValue(maxTokens));
            using var session = new ChatLoop(
                model, input, output, settings, history, parsed.GetValue(system), parsed.GetValue(maxKvSize));
            using var interrupts = PosixSignalRegistration.Create(PosixSignal.SIGINT, signal => signal.Cancel = session.Interrupt());
            session.Run(cancellationToken);
        });
        return command;
    }
}
