using System.Diagnostics;
using KQuant.Models;
using KQuant.TestKit;

namespace KQuant.Server.Tests;

/// <summary>The packages of npm that programs speak to the interfaces with, against the server.</summary>
public class ClientTests
{
    private static readonly string Clients = Path.Combine(RepositoryFiles.Root, "artifacts", "clients");

    private TemporaryFolder _folder = null!;
    private LanguageModel _model = null!;
    private ServerHost _server = null!;

    [OneTimeSetUp]
    public async Task SetUp()
    {
        if (!Directory.Exists(Path.Combine(Clients, "node_modules")))
        {
            Assert.Ignore("The clients of npm are not installed; tests/clients/install.sh does that.");
        }

        foreach (string script in Directory.GetFiles(Path.Combine(RepositoryFiles.Root, "tests", "clients"), "*.mjs"))
        {
            // Node looks for packages where a script is.
            File.Copy(script, Path.Combine(Clients, Path.GetFileName(script)), overwrite: true);
        }

        _folder = new TemporaryFolder();
        TestModel.Write(_folder);
        _model = TestModel.Load(_folder);
        _server = await ServerHost.StartAsync(_model, options =>
        {
            options.ModelName = "org/tiny";
            options.ApiKeys.Add("secret");
        });
    }

    [OneTimeTearDown]
    public async Task TearDown()
    {
        if (_server is not null)
        {
            await _server.DisposeAsync();
            _model.Dispose();
            _folder.Dispose();
        }
    }

    [Test]
    public Task OpenAI([Values("chat", "stream", "responses", "tools", "parse", "completions", "embeddings", "models", "abort", "errors")] string check) => RunAsync("openai.mjs", check);

    [Test]
    public Task Anthropic([Values("message", "stream", "stop", "tools", "count", "models", "abort", "errors")] string check) => RunAsync("anthropic.mjs", check);

    private async Task RunAsync(string script, string check)
    {
        var start = new ProcessStartInfo("node") { WorkingDirectory = Clients, RedirectStandardError = true };
        start.ArgumentList.Add(script);
        start.ArgumentList.Add(_server.Address.AbsoluteUri);
        start.ArgumentList.Add(check);
        using Process node = Process.Start(start)!;
        string errors = await node.StandardError.ReadToEndAsync();
        await node.WaitForExitAsync();
        Assert.That(node.ExitCode, Is.Zero, errors);

        // Whoever has left has no place any more.
        SpinWait.SpinUntil(() => _server.Served.Engine.Counters.Active == 0);
    }
}
