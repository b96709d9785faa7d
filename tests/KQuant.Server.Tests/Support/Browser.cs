using System.Diagnostics;
using System.Net.WebSockets;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using KQuant.TestKit;

namespace KQuant.Server.Tests;

/// <summary>A Chromium without a window, and one page in it, by the protocol of its developer tools.</summary>
internal sealed partial class Browser : IAsyncDisposable
{
    private static readonly string[] Names = ["chromium", "google-chrome", "google-chrome-stable", "chromium-browser"];

    /// <summary>What takes longer never comes.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(1);

    private readonly TemporaryFolder _profile = new();
    private readonly ClientWebSocket _socket = new();
    private readonly Dictionary<int, TaskCompletionSource<JsonElement>> _waiting = [];
    private readonly SemaphoreSlim _sending = new(1);
    private Process _process = null!;
    private Task _reading = Task.CompletedTask;
    private string? _session;
    private int _next;

    private Browser()
    {
    }

    /// <summary>What the page complained about: exceptions, refused requests, what its policy forbids.</summary>
    public List<string> Complaints { get; } = [];

    /// <summary>Starts it; ignores or fails the test where there is none.</summary>
    public static async Task<Browser> StartAsync()
    {
        string? path = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator)
            .SelectMany(folder => Names.Select(name => Path.Combine(folder, name))).FirstOrDefault(File.Exists);
        if (path is null)
        {
            const string message = "The browser tests need Chromium or Chrome on the PATH.";
            Assert.That(SystemTools.AreRequired("browser"), Is.False, message);
            Assert.Ignore(message);
        }

        var browser = new Browser();
        try
        {
            await browser.OpenAsync(path!);
            return browser;
        }
        catch
        {
            await browser.DisposeAsync();
            throw;
        }
    }

    /// <summary>Shows a page and waits until it is there.</summary>
    public async Task ShowAsync(Uri address)
    {
        await SendAsync("Page.navigate", new JsonObject { ["url"] = address.ToString() });
        await WaitAsync($"location.href === {JsonSerializer.Serialize(address.ToString())} && document.readyState === 'complete'");
    }

    /// <summary>Makes the page as large as a screen, which is light or dark.</summary>
    public async Task ResizeAsync(int width, int height, bool isDark)
    {
        await SendAsync("Emulation.setDeviceMetricsOverride", new JsonObject { ["width"] = width, ["height"] = height, ["deviceScaleFactor"] = 1, ["mobile"] = width < 500 });
        await SendAsync("Emulation.setEmulatedMedia", new JsonObject
        {
            ["features"] = new JsonArray(new JsonObject { ["name"] = "prefers-color-scheme", ["value"] = isDark ? "dark" : "light" }),
        });
    }

    /// <summary>The value of an expression, or of what it promises.</summary>
    public async Task<JsonElement> EvaluateAsync(string expression)
    {
        JsonElement answer = await SendAsync("Runtime.evaluate", new JsonObject { ["expression"] = expression, ["awaitPromise"] = true, ["returnByValue"] = true });
        Assert.That(answer.TryGetProperty("exceptionDetails", out JsonElement details), Is.False, details.ToString());
        return answer.GetProperty("result").TryGetProperty("value", out JsonElement value) ? value : default;
    }

    /// <summary>A text of the page.</summary>
    public async Task<string> TextAsync(string expression) => (await EvaluateAsync(expression)).GetString()!;

    /// <summary>Waits until an expression is true.</summary>
    public async Task WaitAsync(string condition)
    {
        // A page that is being left forgets what it was asked.
        while (true)
        {
            try
            {
                await EvaluateAsync($"new Promise(resolve => {{ const look = () => ({condition}) ? resolve(true) : setTimeout(look, 5); look(); }})");
                return;
            }
            catch (InvalidOperationException exception) when (exception.Message.Contains("context", StringComparison.OrdinalIgnoreCase))
            {
            }
        }
    }

    /// <summary>Types a text where the focus is.</summary>
    public Task TypeAsync(string text) => SendAsync("Input.insertText", new JsonObject { ["text"] = text });

    /// <summary>Presses a key.</summary>
    public async Task PressAsync(string key, bool isShifted = false)
    {
        int code = key switch { "Enter" => 13, "Tab" => 9, "Escape" => 27, " " => 32, _ => throw new ArgumentException(key) };
        foreach (string type in (string[])["keyDown", "keyUp"])
        {
            await SendAsync("Input.dispatchKeyEvent", new JsonObject
            {
                ["type"] = type,
                ["key"] = key,
                ["code"] = key == " " ? "Space" : key,
                ["windowsVirtualKeyCode"] = code,
                ["modifiers"] = isShifted ? 8 : 0,
                ["text"] = type == "keyDown" ? key switch { "Enter" => "\r", " " => " ", _ => "" } : "",
            });
        }
    }

    /// <summary>Clicks into the middle of an element.</summary>
    public async Task ClickAsync(string id)
    {
        JsonElement box = await EvaluateAsync($"(r => ({{ x: r.x + r.width / 2, y: r.y + r.height / 2 }}))(document.getElementById('{id}').getBoundingClientRect())");
        foreach (string type in (string[])["mousePressed", "mouseReleased"])
        {
            await SendAsync("Input.dispatchMouseEvent", new JsonObject
            {
                ["type"] = type,
                ["x"] = box.GetProperty("x").GetDouble(),
                ["y"] = box.GetProperty("y").GetDouble(),
                ["button"] = "left",
                ["clickCount"] = 1,
            });
        }
    }

    /// <summary>Writes what is seen into a file beside the results of the tests.</summary>
    public async Task CaptureAsync(string name)
    {
        string path = Path.Combine(TestContext.CurrentContext.WorkDirectory, name + ".png");
        JsonElement picture = await SendAsync("Page.captureScreenshot", []);
        await File.WriteAllBytesAsync(path, picture.GetProperty("data").GetBytesFromBase64());
        TestContext.AddTestAttachment(path);
    }

    public async ValueTask DisposeAsync()
    {
        if (_process is not null)
        {
            _process.Kill(entireProcessTree: true);
            await _process.WaitForExitAsync();
            _process.Dispose();
        }

        await _reading;
        _socket.Dispose();
        _sending.Dispose();
        _profile.Dispose();
    }

    private async Task OpenAsync(string path)
    {
        // The sandbox wants rights that root of a container has not; the only page is our own.
        string[] arguments =
        [
            "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-extensions", "--disable-background-networking",
            "--remote-debugging-port=0", $"--user-data-dir={_profile.Path}", "about:blank",
        ];
        _process = Process.Start(new ProcessStartInfo(path, arguments) { RedirectStandardError = true, RedirectStandardOutput = true })!;
        string log = "";
        Match match;
        do
        {
            string? line = await _process.StandardError.ReadLineAsync();
            Assert.That(line, Is.Not.Null, $"{path} ended: {log}");
            log += line + "\n";
            match = Listening.Match(line!);
        }
        while (!match.Success);

        _ = _process.StandardError.ReadToEndAsync();
        await _socket.ConnectAsync(new Uri(match.Groups["url"].Value), CancellationToken.None);
        _reading = ReadAsync();
        JsonElement target = await SendAsync("Target.createTarget", new JsonObject { ["url"] = "about:blank" });
        JsonElement session = await SendAsync("Target.attachToTarget", new JsonObject { ["targetId"] = target.GetProperty("targetId").GetString(), ["flatten"] = true });
        _session = session.GetProperty("sessionId").GetString();
        foreach (string domain in (string[])["Page", "Runtime", "Log"])
        {
            await SendAsync(domain + ".enable", []);
        }
    }

    private async Task<JsonElement> SendAsync(string method, JsonObject parameters)
    {
        int id = Interlocked.Increment(ref _next);
        var answer = new TaskCompletionSource<JsonElement>(TaskCreationOptions.RunContinuationsAsynchronously);
        lock (_waiting)
        {
            _waiting.Add(id, answer);
        }

        var message = new JsonObject { ["id"] = id, ["method"] = method, ["params"] = parameters };
        if (_session is not null)
        {
            message["sessionId"] = _session;
        }

        await _sending.WaitAsync();
        try
        {
            await _socket.SendAsync(Encoding.UTF8.GetBytes(message.ToJsonString()), WebSocketMessageType.Text, true, CancellationToken.None);
        }
        finally
        {
            _sending.Release();
        }

        return await answer.Task.WaitAsync(Patience);
    }

    private async Task ReadAsync()
    {
        byte[] buffer = new byte[1 << 16];
        using var message = new MemoryStream();
        try
        {
            while (true)
            {
                WebSocketReceiveResult part = await _socket.ReceiveAsync(buffer, CancellationToken.None);
                message.Write(buffer, 0, part.Count);
                if (part.MessageType == WebSocketMessageType.Close)
                {
                    break;
                }

                if (part.EndOfMessage)
                {
                    using var document = JsonDocument.Parse(message.GetBuffer().AsMemory(0, (int)message.Length));
                    Take(document.RootElement.Clone());
                    message.SetLength(0);
                }
            }
        }
        catch (WebSocketException)
        {
            // It was ended.
        }

        lock (_waiting)
        {
            foreach (TaskCompletionSource<JsonElement> answer in _waiting.Values)
            {
                answer.TrySetException(new IOException("The browser has ended."));
            }
        }
    }

    private void Take(JsonElement message)
    {
        if (message.TryGetProperty("id", out JsonElement id))
        {
            TaskCompletionSource<JsonElement>? answer;
            lock (_waiting)
            {
                _waiting.Remove(id.GetInt32(), out answer);
            }

            if (message.TryGetProperty("error", out JsonElement error))
            {
                answer!.SetException(new InvalidOperationException(error.ToString()));
            }
            else
            {
                answer!.SetResult(message.GetProperty("result"));
            }
        }
        else if (message.GetProperty("method").GetString() is "Runtime.exceptionThrown" or "Log.entryAdded")
        {
            lock (Complaints)
            {
                Complaints.Add(message.GetProperty("params").ToString());
            }
        }
    }

    [GeneratedRegex(@"^DevTools listening on (?<url>ws://\S+)$")]
    private static partial Regex Listening { get; }
}
