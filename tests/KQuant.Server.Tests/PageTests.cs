using System.Net;
using System.Security.Cryptography;
using System.Text;
using System.Text.RegularExpressions;
using KQuant.Models;
using KQuant.TestKit;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.Logging;

namespace KQuant.Server.Tests;

/// <summary>The page as it is sent: one text that loads nothing, and may do nothing but ask this server.</summary>
public class PageTests
{
    private TemporaryFolder _folder = null!;
    private LanguageModel _model = null!;
    private ServerHost _server = null!;

    [OneTimeSetUp]
    public async Task SetUp()
    {
        _folder = new TemporaryFolder();
        TestModel.Write(_folder);
        _model = TestModel.Load(_folder);
        _server = await ServerHost.StartAsync(_model, options => options.ApiKeys.Add("secret"));
    }

    [OneTimeTearDown]
    public async Task TearDown()
    {
        await _server.DisposeAsync();
        _model.Dispose();
        _folder.Dispose();
    }

    [Test]
    public async Task ThePageNeedsNoKeyAndMayDoNothingButAskThisServer()
    {
        using HttpResponseMessage response = await _server.Client.GetAsync("/");
        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.OK));
        Assert.That(response.Content.Headers.ContentType!.ToString(), Is.EqualTo("text/html; charset=utf-8"));
        Assert.That(response.Headers.GetValues("X-Content-Type-Options"), Is.EqualTo((string[])["nosniff"]));
        Assert.That(response.Headers.GetValues("Referrer-Policy"), Is.EqualTo((string[])["no-referrer"]));
        string page = await response.Content.ReadAsStringAsync();
        string[] policy = response.Headers.GetValues("Content-Security-Policy").Single().Split("; ");
        Assert.That(policy, Is.EquivalentTo((string[])
        [
            "default-src 'none'", "connect-src 'self'", "img-src data:", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
            $"script-src '{Digest(page, "script")}'", $"style-src '{Digest(page, "style")}'",
        ]));

        using var again = new HttpRequestMessage(HttpMethod.Get, "/");
        again.Headers.IfNoneMatch.Add(response.Headers.ETag!);
        using HttpResponseMessage same = await _server.Client.SendAsync(again);
        Assert.That(same.StatusCode, Is.EqualTo(HttpStatusCode.NotModified));
    }

    [Test]
    public async Task ThePageLoadsNothingAndMakesNoMarkupOfTexts()
    {
        string page = await _server.Client.GetStringAsync("/");
        Assert.That(Encoding.UTF8.GetByteCount(page), Is.LessThan(32 << 10), "it is small");
        Assert.That(page, Does.Not.Match(@"(?i)https?:|//[a-z]|@import|\burl\(|\bimport\b|\bsrc\s*=|\bstyle\s*=|\son[a-z]+\s*="), "nothing from elsewhere, and nothing that its policy forbids");
        Assert.That(Regex.Matches(page, @"href=""(?<target>[^""]*)""").Select(match => match.Groups["target"].Value), Is.EqualTo((string[])["data:,"]));
        Assert.That(page, Does.Not.Match(@"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|srcdoc"));
        string[] paths = [.. Regex.Matches(page, @"fetch\(""(?<path>[^""]*)""").Select(match => "/" + match.Groups["path"].Value)];
        Assert.That(paths, Is.Not.Empty.And.All.AnyOf([.. ApiRoutes.All.Select(route => (object)route.Path)]));
    }

    [Test]
    public async Task AServerMayBeWithoutAPage()
    {
        await using ServerHost server = await ServerHost.StartAsync(_model, options => options.HasPage = false);
        using HttpResponseMessage response = await server.Client.GetAsync("/");
        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.NotFound));
        Assert.That(await response.Content.ReadAsStringAsync(), Does.Contain("This server has no page"));
    }

    [Test]
    public async Task AnApplicationKeepsItsOwnPage()
    {
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        builder.Services.AddKQuant(_model);
        await using WebApplication app = builder.Build();
        app.MapKQuantApi();
        app.MapGet("/", () => "mine");
        await app.StartAsync();
        using var client = new HttpClient { BaseAddress = new Uri(app.Urls.Single()) };
        Assert.That(await client.GetStringAsync("/"), Is.EqualTo("mine"));
        Assert.That(await client.GetStringAsync("/health"), Does.Contain("\"ok\""));
    }

    private static string Digest(string page, string element)
    {
        int start = page.IndexOf($"<{element}>", StringComparison.Ordinal) + element.Length + 2, end = page.IndexOf($"</{element}>", StringComparison.Ordinal);
        return "sha256-" + Convert.ToBase64String(SHA256.HashData(Encoding.UTF8.GetBytes(page[start..end])));
    }
}
