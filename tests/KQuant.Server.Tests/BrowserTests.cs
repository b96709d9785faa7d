using System.Globalization;
using System.Text.Json;
using KQuant.Models;
using KQuant.Models.Generation;
using KQuant.Models.Templates;
using KQuant.Models.Tests;
using KQuant.TestKit;

namespace KQuant.Server.Tests;

/// <summary>The page in a real browser: somebody types, presses keys and looks.</summary>
public class BrowserTests
{
    private const string Question = "Who is Elizabeth?";

    private TemporaryFolder _folder = null!;
    private LanguageModel _model = null!;
    private GatedProducts.Gate _gate = null!;
    private Browser _browser = null!;

    [OneTimeSetUp]
    public async Task SetUp()
    {
        _browser = await Browser.StartAsync();
        _folder = new TemporaryFolder();
        TestModel.Write(_folder);
        _model = TestModel.Load(_folder);
        _gate = new GatedProducts.Gate();
        _model.Runner.Decorate(products => new GatedProducts(products, _gate));
    }

    [OneTimeTearDown]
    public async Task TearDown()
    {
        if (_browser is not null)
        {
            await _browser.DisposeAsync();
            _model.Dispose();
            _gate.Dispose();
            _folder.Dispose();
        }
    }

    [SetUp]
    public void Begin()
    {
        _browser.Complaints.Clear();
        _gate.OnStep = null;
        _gate.Open();
    }

    [Test]
    public async Task SomebodyAsksTwiceAndSeesWhatTheModelSays()
    {
        await using ServerHost server = await ServeAsync();
        await _browser.ResizeAsync(390, 760, isDark: false);
        await OpenAsync(server);
        await SetAsync("max-tokens", "24");
        await _browser.TypeAsync("Who is");
        await _browser.PressAsync("Enter", isShifted: true);
        await _browser.TypeAsync("Elizabeth?");
        await _browser.PressAsync("Enter");
        await WaitForAnswerAsync(1);
        string first = Generate(24, new TemplateMessage("user", "Who is\nElizabeth?"));
        Assert.That(await AnswerAsync(0), Is.EqualTo(first));
        Assert.That(await _browser.TextAsync("document.querySelector('.facts').textContent"), Does.Match(@"^24 tokens · \d+\.\d tokens/s · \d+ read in \d+\.\d\d s · cut off at the limit$"));

        Assert.That(await FocusAsync(), Is.EqualTo("prompt"), "one may go on typing");
        await _browser.TypeAsync("And Mr. Darcy?");
        await _browser.ClickAsync("send");
        await WaitForAnswerAsync(2);
        Assert.That(await AnswerAsync(1), Is.EqualTo(Generate(24, new TemplateMessage("user", "Who is\nElizabeth?"), new TemplateMessage("assistant", first), new TemplateMessage("user", "And Mr. Darcy?"))));
        Assert.That((await _browser.EvaluateAsync("log.scrollHeight - log.scrollTop - log.clientHeight < 2")).GetBoolean(), "the end is seen");

        await _browser.ClickAsync("clear");
        Assert.That((await _browser.EvaluateAsync("document.querySelectorAll('.message').length")).GetInt32(), Is.Zero);
        await _browser.TypeAsync(Question);
        await _browser.PressAsync("Enter");
        await WaitForAnswerAsync(1);
        Assert.That(await AnswerAsync(0), Is.EqualTo(Generate(24, new TemplateMessage("user", Question))), "nothing is left of what was said before");
        Assert.That(_browser.Complaints, Is.Empty);
    }

    [TestCase("Escape")]
    [TestCase("click")]
    public async Task AnAnswerIsStopped(string how)
    {
        await using ServerHost server = await ServeAsync();
        await OpenAsync(server);
        int last = _gate.Steps.Count + 6;
        _gate.OnStep = _ =>
        {
            if (_gate.Steps.Count == last)
            {
                _gate.Close();
            }
        };
        await _browser.TypeAsync(Question);
        await _browser.PressAsync("Enter");
        await _browser.WaitAsync("document.querySelector('.assistant .text')?.textContent.length > 3");
        Assert.That(await _browser.TextAsync("document.querySelector('.facts').textContent"), Does.StartWith("≈ "));
        await (how == "click" ? _browser.ClickAsync("stop") : _browser.PressAsync(how));
        await _browser.WaitAsync("!running");
        Assert.That(await _browser.TextAsync("document.querySelector('.facts').textContent"), Does.EndWith(" · stopped"));
        _gate.OnStep = null;
        _gate.Open();
        SpinWait.SpinUntil(() => server.Served.Engine.Counters.Active == 0);
        Assert.That(await AnswerAsync(0), Is.Not.Empty, "what came stays");
        Assert.That(await FocusAsync(), Is.EqualTo("prompt"));
        Assert.That(_browser.Complaints, Is.Empty);
    }

    [Test]
    public async Task AQuestionThatIsStoppedBeforeItsAnswerIsGivenBack()
    {
        await using ServerHost server = await ServeAsync();
        await OpenAsync(server);
        _gate.Close();
        await _browser.TypeAsync(Question);
        await _browser.PressAsync("Enter");
        _gate.WaitUntilReached();
        await _browser.PressAsync("Escape");
        await _browser.WaitAsync("!running");
        _gate.Open();
        Assert.That(await _browser.TextAsync("prompt.value"), Is.EqualTo(Question));
        Assert.That((await _browser.EvaluateAsync("document.querySelectorAll('.message').length")).GetInt32(), Is.Zero);
        SpinWait.SpinUntil(() => server.Served.Engine.Counters.Active == 0);
    }

    [Test]
    public async Task AServerThatWantsAKeyGetsOne()
    {
        await using ServerHost server = await ServeAsync(options => options.ApiKeys.Add("secret"));
        await _browser.ShowAsync(server.Address);
        await _browser.WaitAsync("!document.getElementById('key-row').hidden");
        Assert.That(await FocusAsync(), Is.EqualTo("key"));
        Assert.That(await ErrorAsync(), Is.Empty, "nothing is wrong yet");
        await _browser.TypeAsync("guess");
        await _browser.PressAsync("Enter");
        await _browser.WaitAsync("!document.getElementById('error').hidden");
        Assert.That(await ErrorAsync(), Is.EqualTo("The key is not one of this server's."));
        await _browser.EvaluateAsync("key.select()");
        await _browser.TypeAsync("secret");
        await _browser.PressAsync("Enter");
        await _browser.WaitAsync("document.title === 'org/tiny'");
        Assert.That(await ErrorAsync(), Is.Empty);
        await _browser.EvaluateAsync("location.reload()");
        await _browser.WaitAsync("document.readyState === 'complete' && document.title === 'org/tiny'");
        await SetAsync("max-tokens", "3");
        await _browser.TypeAsync(Question);
        await _browser.PressAsync("Enter");
        await WaitForAnswerAsync(1);
        Assert.That(await AnswerAsync(0), Is.EqualTo(Generate(3, new TemplateMessage("user", Question))));
    }

    [Test]
    public async Task WhatIsWrongIsASentence()
    {
        await using ServerHost server = await ServeAsync();
        await OpenAsync(server);
        await SetAsync("temperature", "9");
        await _browser.TypeAsync(Question);
        await _browser.PressAsync("Enter");
        await _browser.WaitAsync("!document.getElementById('error').hidden");
        Assert.That(await ErrorAsync(), Is.EqualTo("'temperature' is 9; it should be a number from 0 to 2."));
        Assert.That(await _browser.TextAsync("prompt.value"), Is.EqualTo(Question), "nothing has to be typed again");
        await server.DisposeAsync();
        await _browser.PressAsync("Enter");
        await _browser.WaitAsync("document.getElementById('error').textContent.startsWith('The server')");
        Assert.That(await ErrorAsync(), Is.EqualTo("The server cannot be reached."));
    }

    [Test]
    public async Task EverythingIsReachedByKeysAndHasAName()
    {
        await using ServerHost server = await ServeAsync();
        await OpenAsync(server);
        Assert.That(await FocusAsync(), Is.EqualTo("prompt"));
        await _browser.PressAsync("Tab");
        Assert.That(await FocusAsync(), Is.EqualTo("send"));
        await _browser.EvaluateAsync("document.getElementById('settings-button').focus()");
        await _browser.PressAsync(" ");
        await _browser.WaitAsync("!document.getElementById('settings').hidden");
        await _browser.EvaluateAsync("document.getElementById('settings-button').focus()");
        var order = new List<string>();
        do
        {
            order.Add(await FocusAsync());
            await _browser.PressAsync("Tab");
        }
        while (order[^1] != "send");
        Assert.That(order, Is.EqualTo((string[])["settings-button", "clear", "system", "temperature", "max-tokens", "seed", "log", "prompt", "send"]));
        Assert.That((await _browser.EvaluateAsync("document.getElementById('settings-button').getAttribute('aria-expanded')")).GetString(), Is.EqualTo("true"));
        JsonElement unnamed = await _browser.EvaluateAsync(
            "[...document.querySelectorAll('button, input, textarea, main')].filter(e => !(e.labels?.length || e.textContent.trim() || e.ariaLabel)).map(e => e.id)");
        Assert.That(unnamed.GetArrayLength(), Is.Zero, unnamed.ToString());
        await _browser.EvaluateAsync("document.getElementById('settings-button').focus()");
        await _browser.PressAsync("Enter");
        await _browser.WaitAsync("document.getElementById('settings').hidden");
    }

    [Test]
    public async Task ThePageFitsScreens([Values(320, 390, 768, 1280)] int width, [Values] bool isDark)
    {
        await using ServerHost server = await ServeAsync(options => options.ModelName = "an-organisation/a-model-with-a-very-long-name-Instruct-Q4_K_M.gguf");
        await _browser.ResizeAsync(width, 640, isDark);
        await _browser.ShowAsync(server.Address);
        await _browser.WaitAsync("document.title !== 'KQuant'");
        await SetAsync("max-tokens", "80");
        await _browser.TypeAsync("Is this too long? " + new string('x', 300));
        await _browser.PressAsync("Enter");
        await WaitForAnswerAsync(1);
        await _browser.ClickAsync("settings-button");
        await _browser.EvaluateAsync("document.getElementById('key-row').hidden = false; showError('Something is wrong. '.repeat(5))");
        string picture = $"page-{width}-{(isDark ? "dark" : "light")}";
        await _browser.CaptureAsync(picture + "-settings");
        Assert.That((await _browser.EvaluateAsync("document.documentElement.scrollWidth")).GetInt32(), Is.EqualTo(width), "nothing is scrolled sideways");
        JsonElement outside = await _browser.EvaluateAsync(
            "[...document.querySelectorAll('button, input, textarea, #model, #error')].filter(e => e.offsetParent).filter(e => (r => r.left < 0 || r.right > innerWidth || r.bottom > innerHeight)(e.getBoundingClientRect())).map(e => e.id)");
        Assert.That(outside.GetArrayLength(), Is.Zero, outside.ToString());
        JsonElement small = await _browser.EvaluateAsync("[...document.querySelectorAll('button, input, textarea')].filter(e => e.offsetParent && e.offsetHeight < 40).map(e => e.id)");
        Assert.That(small.GetArrayLength(), Is.Zero, $"fingers meet {small}");
        foreach ((string front, string back) in new[]
        {
            ("text", "back"), ("soft", "back"), ("text", "raised"), ("text", "mine"), ("on-accent", "accent"), ("bad", "bad-back"), ("accent", "back"),
        })
        {
            Assert.That(Contrast(await ColorAsync(front), await ColorAsync(back)), Is.GreaterThan(4.5), $"{front} on {back}");
        }

        await _browser.ClickAsync("settings-button");
        await _browser.EvaluateAsync("document.getElementById('key-row').hidden = true; showError('')");
        await _browser.CaptureAsync(picture);
        Assert.That(await _browser.TextAsync("getComputedStyle(document.body).backgroundColor"), Is.EqualTo(isDark ? "rgb(20, 23, 27)" : "rgb(255, 255, 255)"));
    }

    private Task<ServerHost> ServeAsync(Action<KQuantServerOptions>? configure = null) => ServerHost.StartAsync(_model, options =>
    {
        options.ModelName = "org/tiny";
        options.Sampling = SamplingOptions.Greedy;
        configure?.Invoke(options);
    });

    private async Task OpenAsync(ServerHost server)
    {
        await _browser.ShowAsync(server.Address);
        await _browser.WaitAsync("document.title === 'org/tiny'");
        Assert.That(await _browser.TextAsync("document.getElementById('model').textContent"), Is.EqualTo("org/tiny"));
    }

    private Task<JsonElement> SetAsync(string field, string value) => _browser.EvaluateAsync($"document.getElementById('{field}').value = '{value}'");

    private Task WaitForAnswerAsync(int count) => _browser.WaitAsync($"!running && document.querySelectorAll('.assistant').length === {count}");

    private Task<string> AnswerAsync(int index) => _browser.TextAsync($"document.querySelectorAll('.assistant .text')[{index}].textContent");

    private Task<string> FocusAsync() => _browser.TextAsync("document.activeElement.id");

    private Task<string> ErrorAsync() => _browser.TextAsync("document.getElementById('error').textContent");

    private Task<string> ColorAsync(string name) => _browser.TextAsync($"getComputedStyle(document.documentElement).getPropertyValue('--{name}').trim()");

    /// <summary>The contrast of two colours, as WCAG has it.</summary>
    private static double Contrast(string front, string back)
    {
        double[] both = [Luminance(front), Luminance(back)];
        return (both.Max() + 0.05) / (both.Min() + 0.05);

        static double Luminance(string color)
        {
            double[] parts = [.. Enumerable.Range(0, 3).Select(i => int.Parse(color.AsSpan(1 + 2 * i, 2), NumberStyles.HexNumber, CultureInfo.InvariantCulture) / 255.0)
                .Select(value => value <= 0.04045 ? value / 12.92 : Math.Pow((value + 0.055) / 1.055, 2.4))];
            return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
        }
    }

    private string Generate(int count, params TemplateMessage[] messages) => string.Concat(
        _model.Generate(_model.EncodeChat(messages), new GenerationOptions { Sampling = SamplingOptions.Greedy, MaxTokens = count }).Select(token => token.Text));
}
