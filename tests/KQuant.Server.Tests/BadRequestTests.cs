using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using KQuant.Models;
using KQuant.TestKit;

namespace KQuant.Server.Tests;

/// <summary>What is wrong with a request is said, and nothing else happens.</summary>
public class BadRequestTests
{
    private const string Chat = "/v1/chat/completions";

    private TemporaryFolder _folder = null!;
    private LanguageModel _model = null!;
    private ServerHost _server = null!;

    [OneTimeSetUp]
    public async Task SetUp()
    {
        _folder = new TemporaryFolder();
        TestModel.Write(_folder);
        _model = TestModel.Load(_folder);
        _server = await ServerHost.StartAsync(_model, options => options.MaxBodyBytes = 100_000);
    }

    [OneTimeTearDown]
    public async Task TearDown()
    {
        Assert.That((await _server.PostAsync(Chat, """{"messages":[{"role":"user","content":"?"}],"max_tokens":1}""")).ValueKind, Is.EqualTo(JsonValueKind.Object), "it still answers");
        await _server.DisposeAsync();
        _model.Dispose();
        _folder.Dispose();
    }

    [TestCase("", null, "The body is no JSON")]
    [TestCase("{", null, "The body is no JSON")]
    [TestCase("[]", "", "The body is a list; it should be an object.")]
    [TestCase("null", "", "The body is null; it should be an object.")]
    [TestCase("{}", "messages", "'messages' is missing.")]
    [TestCase("""{"messages":[]}""", "messages", "'messages' is empty.")]
    [TestCase("""{"messages":"hi"}""", "messages", "'messages' is \"hi\"; it should be a list.")]
    [TestCase("""{"messages":[3]}""", "messages[0]", "'messages[0]' is 3; it should be an object.")]
    [TestCase("""{"messages":[{"content":"?"}]}""", "messages[0].role", "'messages[0].role' is missing.")]
    [TestCase("""{"messages":[{"role":"king","content":"?"}]}""", "messages[0].role", "'messages[0].role' is 'king'; it is one of 'system'")]
    [TestCase("""{"messages":[{"role":"user"}]}""", "messages[0].content", "'messages[0].content' is missing.")]
    [TestCase("""{"messages":[{"role":"user","content":7}]}""", "messages[0].content", "'messages[0].content' is 7; it should be a text or a list of parts.")]
    [TestCase("""{"messages":[{"role":"user","content":[{"type":"image_url"}]}]}""", "messages[0].content[0]", "'messages[0].content[0]' is of the type 'image_url'; this model reads text alone.")]
    [TestCase("""{"messages":[{"role":"user","content":"\ud800"}]}""", "messages[0].content", "'messages[0].content' has half of a surrogate pair, which is no text.")]
    [TestCase("""{"messages":[{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":"{"}}]}]}""", "messages[0].tool_calls[0].function.arguments", "is no JSON")]
    [TestCase("""{"messages":[],"messages":[]}""", null, "The body is no JSON")]
    [TestCase("""{"messages":{"\ud800":[]}}""", null, "The body has a name with half of a surrogate pair, which is no text.")]
    [TestCase("""{"messages":[{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":"{\"\\ud800\":1}"}}]}]}""", "messages[0].tool_calls[0].function.arguments", "has a name with half of a surrogate pair")]
    public async Task ABodyThatIsWrong(string body, string? parameter, string message)
    {
        JsonElement error = await _server.FailAsync(Chat, body, HttpStatusCode.BadRequest);
        Assert.That(error.GetProperty("type").GetString(), Is.EqualTo("invalid_request_error"));
        Assert.That(error.GetProperty("param").GetString(), Is.EqualTo(parameter));
        Assert.That(error.GetProperty("message").GetString(), Does.Contain(message));
    }

    [TestCase("temperature", "\"hot\"", "a number from 0 to 2")]
    [TestCase("temperature", "1e400", "a number from 0 to 2")]
    [TestCase("temperature", "-0.1", "a number from 0 to 2")]
    [TestCase("max_tokens", "2147483648", "a whole number from 1 on")]
    [TestCase("max_tokens", "99999999999999999999999999999999999999999", "a whole number from 1 on")]
    [TestCase("max_tokens", "0.5", "a whole number from 1 on")]
    [TestCase("max_tokens", "true", "a whole number from 1 on")]
    [TestCase("n", "129", "a whole number from 1 to 128")]
    [TestCase("seed", "1e300", "a whole number of at most 64 bits")]
    [TestCase("stream", "\"yes\"", "true or false")]
    [TestCase("stop", "[1]", "a text", "stop[0]")]
    [TestCase("stop", "\"\"", "1 to 1000")]
    [TestCase("logit_bias", "{\"5000\":1}", "tokens are numbers from 0 to 2047")]
    [TestCase("logit_bias", "{\"5\":101}", "a number from -100 to 100", "logit_bias.5")]
    [TestCase("top_logprobs", "3", "needs 'logprobs'")]
    [TestCase("tools", "[{\"type\":\"function\"}]", "missing", "tools[0].function")]
    [TestCase("tool_choice", "\"required\"", "there are no tools")]
    [TestCase("response_format", "{\"type\":\"xml\"}", "one of 'text'", "response_format.type")]
    [TestCase("response_format", "{\"type\":\"json_schema\",\"json_schema\":{\"schema\":{\"type\":\"string\",\"contentEncoding\":\"base64\",\"not\":{}}}}", "not")]
    [TestCase("grammar", "\"root ::= (\"", "", null)]
    public async Task AFieldThatIsWrong(string field, string value, string message, string? parameter = "")
    {
        JsonElement error = await _server.FailAsync(Chat, $$"""{"messages":[{"role":"user","content":"?"}],"{{field}}":{{value}}}""", HttpStatusCode.BadRequest);
        Assert.That(error.GetProperty("message").GetString(), Does.Contain(message));
        Assert.That(error.GetProperty("param").GetString(), Is.EqualTo(parameter == "" ? field : parameter));
    }

    [Test]
    public async Task ABodyThatIsTooLargeOrDeepOrNoText()
    {
        Assert.That((await _server.FailAsync(Chat, new string(' ', 100_001), HttpStatusCode.RequestEntityTooLarge)).GetProperty("message").GetString(), Does.Contain("100000 bytes"));
        string deep = string.Concat(Enumerable.Repeat("{\"a\":", 5000)) + "1" + new string('}', 5000);
        await _server.FailAsync(Chat, deep, HttpStatusCode.BadRequest);
        (HttpStatusCode status, JsonElement body) = await _server.PostAsync(Chat, [(byte)'{', (byte)'"', 0xff, (byte)'"', (byte)':', (byte)'1', (byte)'}']);
        Assert.That((status, body.GetProperty("error").GetProperty("message").GetString()), Is.EqualTo((HttpStatusCode.BadRequest, "The body is not UTF-8.")));
    }

    [Test]
    public async Task AConversationThatIsTooLong()
    {
        string text = string.Concat(Enumerable.Range(0, 1000).Select(i => i.ToString(CultureInfo.InvariantCulture) + " "));
        JsonElement error = await _server.FailAsync(Chat, $$"""{"messages":[{"role":"user","content":"{{text}}"}]}""", HttpStatusCode.BadRequest);
        Assert.That(error.GetProperty("code").GetString(), Is.EqualTo("context_length_exceeded"));
    }

    [Test]
    public async Task APathOrAMethodThatIsNotThere()
    {
        using HttpResponseMessage path = await _server.Client.GetAsync("/v1/audio");
        Assert.That(path.StatusCode, Is.EqualTo(HttpStatusCode.NotFound));
        Assert.That(await path.Content.ReadAsStringAsync(), Does.StartWith("{\"error\":{\"message\":\"There is nothing at /v1/audio.\""));
        using HttpResponseMessage method = await _server.Client.GetAsync(Chat);
        Assert.That((method.StatusCode, string.Join(',', method.Content.Headers.Allow)), Is.EqualTo((HttpStatusCode.MethodNotAllowed, "POST")));
    }

    [Test]
    public async Task ARequestThatBreaksOffOrIsNoRequest()
    {
        foreach (string text in (string[])["POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{", "hello\r\n\r\n"])
        {
            using var client = new TcpClient();
            await client.ConnectAsync(IPAddress.Loopback, _server.Address.Port);
            NetworkStream stream = client.GetStream();
            await stream.WriteAsync(Encoding.ASCII.GetBytes(text));
            client.Client.Shutdown(SocketShutdown.Send);
            Assert.That(await ReadAsync(stream), Is.Empty.Or.StartsWith("HTTP/1.1 400"));
        }

        static async Task<string> ReadAsync(NetworkStream stream)
        {
            using var reader = new StreamReader(stream);
            try
            {
                return await reader.ReadToEndAsync();
            }
            catch (IOException)
            {
                // The connection was reset, which is an end, too.
                return "";
            }
        }
    }
}
