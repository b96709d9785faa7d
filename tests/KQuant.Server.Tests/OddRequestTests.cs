using System.Net;
using System.Text;
using System.Text.Json;
using KQuant.Models;
using KQuant.TestKit;

namespace KQuant.Server.Tests;

/// <summary>Whatever stands in a field, the server answers, or says what is wrong with it: it is never the server that has failed.</summary>
public class OddRequestTests
{
    private const string Messages = """[{"role":"user","content":"Who?"}]""";

    private static readonly string[] Values =
    [
        "null", "true", "0", "-1", "2147483648", "1e400", "0.5", "\"\"", "\"x\"", "\"\\ud800\"", "[]", "[null]", "[[]]", "[{}]", "[\"x\",1]", "{}", "{\"x\":null}",
        "{\"type\":\"x\"}", "{\"type\":\"tool\"}", "{\"type\":\"json_schema\"}", "{\"type\":\"json_schema\",\"schema\":{\"$ref\":\"#\"}}", "{\"\\ud800\":1}",
        "[{\"type\":\"function\",\"function\":{\"name\":\"\"}}]", "[{\"name\":\"f\",\"input_schema\":{\"type\":\"array\"}}]", "[{\"role\":\"user\",\"content\":[]}]",
        "[{\"role\":\"assistant\",\"content\":\"\"}]", "[{\"role\":\"tool\",\"content\":\"x\"}]",
        """[{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":"{\"\\ud800\":1}"}}]}]""", "[{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\"}]}]",
    ];

    private TemporaryFolder _folder = null!;
    private LanguageModel _model = null!;
    private ServerHost _server = null!;

    [OneTimeSetUp]
    public async Task SetUp()
    {
        _folder = new TemporaryFolder();
        TestModel.Write(_folder);
        _model = TestModel.Load(_folder);
        _server = await ServerHost.StartAsync(_model);
    }

    [OneTimeTearDown]
    public async Task TearDown()
    {
        await _server.DisposeAsync();
        _model.Dispose();
        _folder.Dispose();
    }

    [TestCase("/v1/chat/completions", "messages", Messages, "tools", "tool_choice", "response_format", "stop", "seed", "n", "logit_bias", "logprobs", "top_logprobs", "grammar",
        "json_schema", "temperature", "top_p", "top_k", "stream_options", "reasoning_effort", "chat_template_kwargs", "model", "metadata")]
    [TestCase("/v1/completions", "prompt", "\"a\"", "suffix", "logprobs", "echo", "best_of", "n", "stop", "grammar", "json_schema", "seed", "logit_bias")]
    [TestCase("/v1/messages", "messages", Messages, "system", "tools", "tool_choice", "thinking", "stop_sequences", "output_config", "output_format", "top_k", "model", "metadata")]
    [TestCase("/v1/messages/count_tokens", "messages", Messages, "system", "tools", "thinking")]
    [TestCase("/v1/embeddings", "input", "\"a\"", "dimensions", "encoding_format", "user", "model")]
    [TestCase("/tokenize", "content", "\"a\"", "add_special", "parse_special", "with_pieces")]
    [TestCase("/detokenize", "tokens", "[1]", "more")]
    [TestCase("/apply-template", "messages", Messages, "tools", "chat_template_kwargs")]
    public async Task NoFieldIsTooOdd(string path, string main, string value, params string[] others)
    {
        foreach (string field in (string[])[main, .. others])
        {
            foreach (string odd in Values)
            {
                string body = "{" + string.Join(',', ((string[])[main, "max_tokens", field]).Distinct().Select(name => $"\"{name}\":{(name == field ? odd : name == main ? value : "2")}")) + "}";
                (HttpStatusCode status, JsonElement answer) = await _server.PostAsync(path, Encoding.UTF8.GetBytes(body));
                if (status != HttpStatusCode.OK)
                {
                    Assert.That(status, Is.EqualTo(HttpStatusCode.BadRequest), body);
                    Assert.That(answer.GetProperty("error").GetProperty("message").GetString(), Is.Not.Empty, body);
                }
            }
        }
    }
}
