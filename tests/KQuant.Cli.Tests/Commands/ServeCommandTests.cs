using System.Diagnostics;
using System.Globalization;
using System.Net.Http.Json;
using System.Net.Sockets;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace KQuant.Cli.Tests;

/// <summary><c>kquant serve</c> as a process.</summary>
public class ServeCommandTests
{
    [Test]
    public async Task AnswersUntilItIsTold()
    {
        if (OperatingSystem.IsWindows())
        {
            Assert.Ignore("Windows has no signals that a test could send.");
        }

        using Process process = CliProcess.Start(null, "serve", "--model", TestModels.TinyDense, "--host", "0.0.0.0", "--port", "0", "--alias", "tiny", "--temp", "0");
        string line = (await process.StandardOutput.ReadLineAsync())!;
        Match match = Regex.Match(line, @"^Listening on http://0\.0\.0\.0:(?<port>\d+); Ctrl-C stops\.$");
        Assert.That(match.Success, line);
        using var client = new HttpClient { BaseAddress = new Uri($"http://127.0.0.1:{match.Groups["port"].Value}") };
        using HttpResponseMessage response = await client.PostAsJsonAsync("/v1/completions", new { prompt = "It is a truth", max_tokens = 4 });
        JsonElement answer = await response.Content.ReadFromJsonAsync<JsonElement>();
        Assert.That(answer.GetProperty("model").GetString(), Is.EqualTo("tiny"));
        Assert.That(answer.GetProperty("usage").GetProperty("completion_tokens").GetInt32(), Is.EqualTo(4));
        using (Process kill = Process.Start("kill", ["-TERM", process.Id.ToString(CultureInfo.InvariantCulture)]))
        {
            await kill.WaitForExitAsync();
        }

        CliResult result = CliProcess.Finish(process);
        Assert.That((result.ExitCode, result.Output), Is.EqualTo((0, "")));
        Assert.That(result.Error, Is.EqualTo("warning: 0.0.0.0 is reachable from other machines and there is no --api-key: whoever reaches the port may ask.\n"));
    }

    [Test]
    public void AnAddressThatIsNoneIsSaid() =>
        Cli.Run("serve", "--model", TestModels.TinyDense, "--host", "nowhere").MustFail("--host is 'nowhere'; it is an address such as 127.0.0.1");

    [Test]
    public void APortThatIsTakenIsSaid()
    {
        using var taken = new TcpListener(System.Net.IPAddress.Loopback, 0);
        taken.Start();
        string port = ((System.Net.IPEndPoint)taken.LocalEndpoint).Port.ToString(CultureInfo.InvariantCulture);
        Cli.Run("serve", "--model", TestModels.TinyDense, "--port", port, "--log-level", "none").MustFail("address already in use");
    }
}
