using System.Text.Json.Nodes;
using KQuant.Models.Templates;
using KQuant.TestKit;

namespace KQuant.Models.Tests.Templates;

/// <summary>Templates render as Python's jinja2 does, and stay within their bounds.</summary>
public class ChatTemplateTests
{
    public static IEnumerable<TestCaseData> Cases
    {
        get
        {
            JsonNode file = JsonNode.Parse(File.ReadAllText(RepositoryFiles.Fixture("text", "jinja-cases.json")))!;
            return file["cases"]!.AsArray().Concat(file["python_cases"]!.AsArray())
                .Select(entry => new TestCaseData(entry).SetName($"Renders: {entry!["name"]}"));
        }
    }

    [TestCaseSource(nameof(Cases))]
    public void RendersAsPython(JsonNode entry) => Assert.That(
        ChatTemplate.Parse(entry["template"]!.GetValue<string>()).RenderPlain(entry["context"]!.AsObject()),
        Is.EqualTo(entry["expected"]!.GetValue<string>()));

    [Test]
    public void RandomTemplatesRenderAsPython()
    {
        JsonNode file = JsonNode.Parse(File.ReadAllText(RepositoryFiles.Fixture("text", "jinja-fuzz.json")))!;
        JsonObject context = file["context"]!.AsObject();
        Assert.Multiple(() =>
        {
            foreach (JsonNode? entry in file["cases"]!.AsArray())
            {
                string source = entry!["template"]!.GetValue<string>();
                if (entry["expected"] is JsonNode expected)
                {
                    Assert.That(ChatTemplate.Parse(source).RenderPlain(context), Is.EqualTo(expected.GetValue<string>()), source);
                }
                else
                {
                    Assert.That(() => ChatTemplate.Parse(source).RenderPlain(context), Throws.TypeOf<TemplateException>(), source);
                }
            }
        });
    }

    [TestCase("{{ '<a>'|safe + '<b>' }}", "<a>&lt;b&gt;")]
    [TestCase("{{ '<a>' + '<b>'|safe + t|tojson }}", "&lt;a&gt;<b>{&#34;k&#34;: &#34;&lt;&#34;}")]
    [TestCase("{{ '<a>'|e|e ~ '<b>' }} {{ '<a>'|e|forceescape }}", "&lt;a&gt;<b> &amp;lt;a&amp;gt;")]
    [TestCase("{% set s = '<%s>'|safe %}{{ s % '<' }} {{ s * 2 }} {{ s|upper + '>' }} {{ s == '<%s>' }} {{ s|length }}", "<&lt;> <%s><%s> <%S>&gt; True 4")]
    [TestCase("{{ ['<', '<'] | map('e') | join('&') }} {{ ('<'|safe if true else '') + '<' }} {{ ('' or '<'|safe) + '<' }}", "&lt;&&lt; <&lt; <&lt;")]
    [TestCase("{{ '<'|safe|replace('<', '>') + '<' }} {{ ('<'|safe).upper() }} {{ ('<a'|safe)[1] }}", ">< < a")]
    public void MarkedTextsEscapeWhatIsAddedToThem(string source, string expected) => Assert.That(
        ChatTemplate.Parse(source).RenderPlain(new JsonObject { ["t"] = new JsonObject { ["k"] = "<" } }), Is.EqualTo(expected));

    [Test]
    public void TheTinyModelsTemplate() => Assert.That(
        ChatTemplate.Load(RepositoryFiles.Fixture("models", "tiny-dense"))!.Render([new TemplateMessage("user", "Hi"), new TemplateMessage("assistant", "Yo")]),
        Is.EqualTo("<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nYo<|im_end|>\n<|im_start|>assistant\n"));

    [Test]
    public void ToolsAreNoneWhenAbsent()
    {
        ChatTemplate template = ChatTemplate.Parse("{{ tools is defined }}{{ tools is none }}{{ documents is none }}{{ x }}");
        Assert.That(template.Render([], variables: new JsonObject { ["x"] = 1.0 }), Is.EqualTo("TrueTrueTrue1.0"));
    }

    [Test]
    public void ATemplateThatRefusesSpeaksForItself()
    {
        ChatTemplate template = ChatTemplate.Parse("{{ raise_exception('roles must alternate') }}");
        Assert.That(
            () => template.Render([]),
            Throws.TypeOf<TemplateException>().With.Message.EqualTo("roles must alternate").And.Property("IsRaisedByTemplate").True);
    }

    [Test]
    public void TheClockIsLocal()
    {
        ChatTemplate template = new Clocked().Template("{{ strftime_now('%d %b %Y|%Y-%m-%d|%B %d, %Y|%-d %H:%M') }}");
        Assert.That(template.Render([]), Is.EqualTo("06 Jul 2025|2025-07-06|July 06, 2025|6 09:05"));
    }

    [TestCase("{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}", "more than")]
    [TestCase("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "deeper than")]
    [TestCase("{{ 'x' * 1000000000 }}", "more than")]
    [TestCase("{{ [0] * 1000000000 }}", "more than")]
    [TestCase("{% set ns = namespace(s='xxxxxxxxxxxxxxxx') %}{% for i in range(99) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}", "more than")]
    [TestCase("{% for i in range(99999) %}{{ 'x' * 100000 }}{% endfor %}", "more than")]
    [TestCase("{{ 9 ** 9 ** 9 ** 9 ** 9 ** 9 ** 9 }}", "bits")]
    [TestCase("{{ '%1000000000d' % 1 }}", "width")]
    [TestCase("{{ '{:1000000000}'.format(1) }}", "width")]
    [TestCase("{{ 'a'.center(1000000000) }}", "more than")]
    [TestCase("{{ range(100001) }}", "Range too big")]
    [TestCase("{% set ns = namespace(l=[]) %}{% for i in range(100000) %}{% set ns.l = [ns.l] %}{% endfor %}{{ ns.l }}", "deep")]
    public void BoundsHold(string source, string message) => Assert.That(
        () => ChatTemplate.Parse(source).Render([]), Throws.TypeOf<TemplateException>().With.Message.Contains(message));

    [Test]
    public void DeepNestingIsRefused()
    {
        foreach (string source in (string[])[new string('(', 100_000), string.Concat(Enumerable.Repeat("{% if x %}", 100_000)),
            "{{ " + string.Concat(Enumerable.Repeat("not ", 100_000)) + "x }}", "{{ " + string.Concat(Enumerable.Repeat("-", 100_000)) + "1 }}"])
        {
            Assert.That(() => ChatTemplate.Parse(source.StartsWith('(') ? "{{ " + source : source).Render([]), Throws.TypeOf<TemplateException>());
        }

        Assert.That(
            () => ChatTemplate.Parse("{{ 1" + string.Concat(Enumerable.Repeat("+1", 200_000)) + " }}").Render([]), Throws.TypeOf<TemplateException>());
    }

    [TestCase("{{ messages.__class__ }}", "")]
    [TestCase("{{ ''.__class__.__mro__ }}", "no attribute")]
    [TestCase("{{ messages.append(1) }}", "does not belong")]
    [TestCase("{{ messages[0].pop('role') }}", "does not belong")]
    [TestCase("{% include 'x' %}", "not supported")]
    [TestCase("{% import 'os' as os %}", "not supported")]
    [TestCase("{{ x() }}", "'x' is undefined")]
    [TestCase("{{ 1 | nothing }}", "No filter named 'nothing'")]
    [TestCase("a\n\n{{ 1 +}}", "line 3")]
    [TestCase("{% if x %}", "endif")]
    [TestCase("{{ 'a", "no end")]
    [TestCase("{% frobnicate %}", "unknown tag")]
    public void TheSandboxHolds(string source, string message)
    {
        try
        {
            Assert.That(ChatTemplate.Parse(source).Render([new TemplateMessage("user", "x")]), Is.EqualTo(message));
        }
        catch (TemplateException exception)
        {
            Assert.That(exception.Message, Does.Contain(message));
        }
    }

    private sealed class Clocked : TimeProvider
    {
        public override TimeZoneInfo LocalTimeZone => TimeZoneInfo.Utc;

        public override DateTimeOffset GetUtcNow() => new(2025, 7, 6, 9, 5, 0, TimeSpan.Zero);

        public ChatTemplate Template(string source) => ChatTemplate.Parse(source, this);
    }
}
