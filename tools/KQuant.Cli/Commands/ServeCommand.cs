using System.CommandLine;
using System.Net;
using KQuant.Matmul.Backends;
using KQuant.Models;
using KQuant.Server;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Console;

namespace KQuant.Cli.Commands;

/// <summary><c>kquant serve</c>: a model behind the interface that programs speak.</summary>
internal static class ServeCommand
{
    /// <summary>How much longer than the answers the host may take to stop.</summary>
    private static readonly TimeSpan StopMargin = TimeSpan.FromSeconds(5);

    internal static Command Create()
    {
        var arguments = new ModelArguments();
        var sampling = new SamplingArguments();
        var host = new Option<string>("--host")
        {
            Description = "The address to listen on; 0.0.0.0 or [::] for all of the machine.",
            HelpName = "address",
            DefaultValueFactory = _ => "127.0.0.1",
        };
        Option<int> port = CommonOptions.Number("--port", "The port to listen on; 0 for any that is free.", 8080, 0, ushort.MaxValue);
        var keys = new Option<string[]>("--api-key") { Description = "A key that requests have to bring; may be given several times.", HelpName = "key" };
        var keyFile = new Option<string>("--api-key-file")
        {
            Description = "A file with such keys, one a line, which nobody sees who lists the processes of the machine.",
            HelpName = "file",
        };
        var origins = new Option<string[]>("--allowed-origins") { Description = "Origins of pages that may ask from a browser; * for all.", HelpName = "origin" };
        var name = new Option<string>("--alias") { Description = "What the model is called; the last part of its path if not given.", HelpName = "name" };
        Option<int> parallel = CommonOptions.Number("--parallel", "Texts that are written at the same time; others wait.", 8, 1, 1024);
        Option<int> waiting = CommonOptions.Number("--max-waiting", "Texts that wait at most; further requests are told to come back later.", 256, 0, 1_000_000);
        Option<int> cacheRam = CommonOptions.Number("--cache-ram", "MiB of caches of ended texts to keep, for prompts that go on from them.", 1024, 0, int.MaxValue);
        Option<int> drain = CommonOptions.Number("--drain", "Seconds that answers may take to their end when the server is stopped.", 20, 0, 3600);
        var anyOrder = new Option<bool>("--no-deterministic")
        {
            Description = "Take the fastest kernels for any number of texts: a single one is faster, and its bits may depend on what shares its batch.",
        };
        var noPage = new Option<bool>("--no-webui") { Description = "Serve no page for conversations at /." };
        Option<LogLevel> logLevel = CommonOptions.Choice(
            "--log-level",
            "What is logged, to the standard error; 'warning' if not given.",
            ("warning", LogLevel.Warning),
            ("debug", LogLevel.Debug),
            ("information", LogLevel.Information),
            ("error", LogLevel.Error),
            ("none", LogLevel.None));
        var logJson = new Option<bool>("--log-json") { Description = "Log a line of JSON for each event." };
        var command = new Command("serve", "Serve a model to programs that speak the interface of OpenAI or Anthropic. Ctrl-C stops.")
        {
            host, port, keys, keyFile, origins, name, parallel, waiting, cacheRam, drain, anyOrder, noPage, logLevel, logJson,
        };
        arguments.AddTo(command);
        sampling.AddTo(command);
        command.SetWork((parsed, cancellationToken) =>
        {
            IPAddress address = ParseHost(parsed.GetValue(host)!);
            string[] allKeys = [.. parsed.GetValue(keys) ?? [], .. ReadKeys(parsed.GetValue(keyFile))];
            using MatmulBackend? device = arguments.OpenDevice(parsed);
            using LanguageModel model = arguments.Load(parsed, device, cancellationToken, isDeterministic: !parsed.GetValue(anyOrder));
            WebApplicationBuilder builder = WebApplication.CreateSlimBuilder(new WebApplicationOptions { ContentRootPath = AppContext.BaseDirectory });
            Log(builder.Logging, parsed.GetResult(logLevel) is null ? LogLevel.Warning : parsed.GetValue(logLevel), parsed.GetValue(logJson));
            builder.WebHost.ConfigureKestrel(kestrel =>
            {
                kestrel.AddServerHeader = false;
                kestrel.Listen(address, parsed.GetValue(port));
            });
            builder.Services.AddKQuant(model, options =>
            {
                options.ModelName = parsed.GetValue(name);
                options.Sampling = sampling.Read(parsed, model);
                options.Parallel = parsed.GetValue(parallel);
                options.MaxWaiting = parsed.GetValue(waiting);
                options.MaxIdleCacheBytes = (long)parsed.GetValue(cacheRam) << 20;
                options.DrainTime = TimeSpan.FromSeconds(parsed.GetValue(drain));
                options.HasPage = !parsed.GetValue(noPage);
                AddAll(options.ApiKeys, allKeys);
                AddAll(options.AllowedOrigins, parsed.GetValue(origins));
            });
            builder.Services.Configure<HostOptions>(options => options.ShutdownTimeout = TimeSpan.FromSeconds(parsed.GetValue(drain)) + StopMargin);
            builder.Services.Configure<ConsoleLifetimeOptions>(options => options.SuppressStatusMessages = true);
            if (!IPAddress.IsLoopback(address) && allKeys.Length == 0)
            {
                parsed.InvocationConfiguration.Error.WriteLine($"warning: {address} is reachable from other machines and there is no --api-key: whoever reaches the port may ask.");
            }

            RunAsync(builder, parsed.InvocationConfiguration.Output, cancellationToken).GetAwaiter().GetResult();
        });
        return command;
    }

    private static async Task RunAsync(WebApplicationBuilder builder, TextWriter output, CancellationToken cancellationToken)
    {
        WebApplication app = builder.Build();
        await using (app.ConfigureAwait(false))
        {
            app.MapKQuantApi();
            await app.StartAsync(cancellationToken).ConfigureAwait(false);
            await output.WriteLineAsync($"Listening on {app.Urls.Single()}; Ctrl-C stops.").ConfigureAwait(false);
            await output.FlushAsync(CancellationToken.None).ConfigureAwait(false);
            await app.WaitForShutdownAsync(cancellationToken).ConfigureAwait(false);
        }
    }

    private static IPAddress ParseHost(string host) =>
        host == "localhost" ? IPAddress.Loopback
        : IPAddress.TryParse(host, out IPAddress? address) ? address
        : throw new CommandException($"--host is '{host}'; it is an address such as 127.0.0.1 or 0.0.0.0, or 'localhost'.");

    /// <summary>A file that was named and has no keys is a server that was meant to be safe.</summary>
    private static string[] ReadKeys(string? path)
    {
        if (path is null)
        {
            return [];
        }

        string[] keys = Utf8Reader.ReadFile(path).Split('\n', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
        return keys.Length > 0 ? keys : throw new CommandException($"{path} has no keys; it has one a line.");
    }

    private static void Log(ILoggingBuilder logging, LogLevel level, bool isJson)
    {
        logging.ClearProviders();
        logging.SetMinimumLevel(level);
        _ = isJson ? logging.AddJsonConsole() : logging.AddSimpleConsole(options => options.SingleLine = true);
        logging.Services.Configure<ConsoleLoggerOptions>(options => options.LogToStandardErrorThreshold = LogLevel.Trace);
    }

    private static void AddAll(IList<string> list, string[]? values)
    {
        foreach (string value in values ?? [])
        {
            list.Add(value);
        }
    }
}
