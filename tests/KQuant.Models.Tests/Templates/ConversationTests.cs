using System.Text.Json.Nodes;
using KQuant.Codecs;
using KQuant.Models.Templates;
using KQuant.TestKit;

namespace KQuant.Models.Tests.Templates;

/// <summary>What templates see of a conversation, and which template of a model they are.</summary>
public class ConversationTests
{
    private TemporaryFolder _folder = null!;

    [SetUp]
    public void SetUp() => _folder = new TemporaryFolder();

    [TearDown]
    public void TearDown() => _folder.Dispose();

    [TestCase("""{"role": "assistant"}""", "False False - ")]
    [TestCase("""{"role": "assistant", "content": null}""", "True True None None")]
    [TestCase("""{"role": "assistant", "content": ""}""", "True True  ")]
    [TestCase("""{"role": "assistant", "content": "x"}""", "True True x x")]
    [TestCase("""{"role": "assistant", "content": [1]}""", "True True [1] [1]")]
    [TestCase("""{"role": "assistant", "tool_calls": []}""", "False False - ")]
    public void AMissingContentIsNotNone(string message, string expected)
    {
        ChatTemplate template = ChatTemplate.Parse(
            "{% for m in messages %}{{ 'content' in m }} {{ m.content is defined }} {{ m.content | default('-') }} {{ m['content'] }}{% endfor %}");
        Assert.That(template.Render([TemplateMessage.FromJson(JsonNode.Parse(message)!.AsObject())]), Is.EqualTo(expected));
    }

    [Test]
    public void AMessageOfAProgramWithoutContentHasNone() => Assert.That(
        ChatTemplate.Parse("{{ messages[0].content is defined }}").Render([new TemplateMessage("assistant", null)]), Is.EqualTo("False"));

    [Test]
    public void FilesHideTheConfig()
    {
        Write("tokenizer_config.json", """{"chat_template": "config", "eos_token": "</s>"}""");
        Assert.That(Render(), Is.EqualTo("config"));
        Write("chat_template.jinja", "file{{ eos_token }}");
        Assert.That(Render(), Is.EqualTo("file</s>"));
        Write("additional_chat_templates/tool_use.jinja", "tools");
        Write("additional_chat_templates/rag.jinja", "rag");
        Assert.That(Render(), Is.EqualTo("file</s>"));
        Assert.That(Render(new JsonArray()), Is.EqualTo("tools"));
        Assert.That(ChatTemplate.Load(_folder.Path)!.Names, Is.EqualTo((string[])["default", "rag", "tool_use"]));
        Assert.That(ChatTemplate.Load(_folder.Path)!.Select("rag").Render([], []), Is.EqualTo("rag"));
        Assert.That(() => ChatTemplate.Load(_folder.Path)!.Select("no"), Throws.ArgumentException.With.Message.Contains("default, rag, tool_use"));
    }

    [TestCase("""[{"name": "rag", "template": "r"}, {"name": "chat", "template": "c"}]""")]
    [TestCase("""{"rag": "r", "chat": "c"}""")]
    public void NamedTemplatesWithoutADefaultNeedAChoice(string templates)
    {
        Write("tokenizer_config.json", $$"""{"chat_template": {{templates}}}""");
        Assert.That(() => Render(), Throws.TypeOf<TemplateException>().With.Message.Contains("rag, chat"));
        Assert.That(ChatTemplate.Load(_folder.Path)!.Select("chat").Render([]), Is.EqualTo("c"));
    }

    [Test]
    public void OnlyAFolderOfTemplates()
    {
        Write("additional_chat_templates/tool_use.jinja", "tools");
        Assert.That(Render(new JsonArray()), Is.EqualTo("tools"));
        Assert.That(() => Render(), Throws.TypeOf<TemplateException>().With.Message.Contains("tool_use"));
    }

    [Test]
    public void TheTemplateOfAnOldProcessor()
    {
        Write("chat_template.json", """{"chat_template": "old"}""");
        Assert.That(Render(), Is.EqualTo("old"));
    }

    [TestCase("""{}""", """{"bos_token": "<s>"}""", "<s>")]
    [TestCase("""{}""", """{"bos_token": {"content": "<s>", "lstrip": false}}""", "<s>")]
    [TestCase("""{"bos_token": "<a>"}""", """{"bos_token": "<s>"}""", "<s>")]
    [TestCase("""{"bos_token": "<a>", "added_tokens_decoder": {}}""", """{"bos_token": "<s>"}""", "<a>")]
    [TestCase("""{"bos_token": null, "added_tokens_decoder": {}}""", """{"bos_token": "<s>"}""", "<s>")]
    [TestCase("""{"bos_token": "<a>"}""", """{}""", "<a>")]
    public void SpecialTokensOfTheMap(string config, string map, string expected)
    {
        Write("tokenizer_config.json", config);
        Write("special_tokens_map.json", map);
        Write("chat_template.jinja", "{{ bos_token }}");
        Assert.That(Render(), Is.EqualTo(expected));
    }

    [TestCase("{{ messages }}", false)]
    [TestCase("{% if tools %}{{ tools }}{% endif %}", true)]
    [TestCase("{{ messages[0].tools }} tools {# tools #}{{ 'tools' }}", false)]
    public void WhetherTheTemplateTakesTools(string source, bool expected) => Assert.That(ChatTemplate.Parse(source).TakesTools, Is.EqualTo(expected));

    [TestCase("model.py")]
    [TestCase("modeling_x.py")]
    [TestCase("")]
    public void AProgramForTheModelIsRefusedByName(string file)
    {
        string model = RepositoryFiles.Fixture("models", "tiny-dense");
        foreach (string path in Directory.EnumerateFiles(model))
        {
            File.Copy(path, _folder[Path.GetFileName(path)]);
        }

        JsonObject config = JsonNode.Parse(File.ReadAllText(_folder["config.json"]))!.AsObject();
        config["auto_map"] = new JsonObject { ["AutoModelForCausalLM"] = "modeling_x.X" };
        File.WriteAllText(_folder["config.json"], config.ToJsonString());
        LanguageModel.Load(_folder.Path).Dispose();
        config["model_file"] = file;
        File.WriteAllText(_folder["config.json"], config.ToJsonString());
        Assert.That(() => LanguageModel.Load(_folder.Path), Throws.TypeOf<ModelFormatException>().With.Message.Contains($"model_file names '{file}'"));
    }

    private void Write(string name, string text)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(_folder[name])!);
        File.WriteAllText(_folder[name], text);
    }

    private string Render(JsonArray? tools = null) => ChatTemplate.Load(_folder.Path)!.Render([], tools);
}
