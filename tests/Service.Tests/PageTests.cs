using System.Collections;
using Chatterbox.Service.Models;
using Chatterbox.Service.Streaming;
using Microsoft.Playwright;

namespace Chatterbox.Service.Tests;

/// <summary>The page in a real browser.</summary>
public sealed class PageTests
{
    private static readonly string? Chromium = (
        (string[])["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"]
    ).FirstOrDefault(File.Exists);

    [Fact]
    public async Task A_text_is_heard_sentence_by_sentence()
    {
        await using var service = await TestService.Start();
        service.AddVoice("Ann.wav");
        service.Model.Holds = true;
        service.Model.LetGo();
        await using var browser = await Open(service);
        var page = browser.Page;
        await Assertions.Expect(page.Locator("#model")).ToContainTextAsync("healthy");
        await Assertions.Expect(page.Locator("#voice option")).ToHaveTextAsync(["default", "Ann"]);
        await page.Locator("#text").FillAsync("This is the first. This is the second. And the third.");
        await page.Locator("#voice").SelectOptionAsync("Ann");
        await page.Locator("#exaggeration").FillAsync("0.8");
        await page.Locator("#speak").ClickAsync();
        await Assertions.Expect(page.Locator("#status")).ToHaveTextAsync("Sentence 1 of 3…");
        await Assertions.Expect(page.Locator("#sentences li")).ToHaveTextAsync(["This is the first."]);
        service.Model.LetGo(2);
        await Assertions.Expect(page.Locator("#status")).ToHaveTextAsync("Done.");
        await Assertions.Expect(page.Locator("#sentences li.played")).ToHaveCountAsync(3);

        // Each begins where, or after, the one before it ended, and all of it went into the AudioContext.
        Assert.True(
            await page.EvaluateAsync<bool>(
                "chatterbox.pieces.every((p, i, all) => p.index === i && (i === 0 || p.start >= all[i - 1].end))"
            )
        );
        var samples = service.Model.Calls.Sum(c => FakeModel.Tone(c.Text, c.Voice, c.Sampling).Length);
        Assert.Equal(samples, await page.EvaluateAsync<int>("chatterbox.pieces.reduce((sum, p) => sum + p.node.buffer.length, 0)"));
        Assert.All(service.Model.Calls, c => Assert.Equal(0.8, c.Sampling.Exaggeration));

        var download = await page.RunAndWaitForDownloadAsync(() => page.Locator("#download").ClickAsync());
        Assert.Equal(samples, Wav.Read(await File.ReadAllBytesAsync(await download.PathAsync())).Length);
    }

    [Fact]
    public async Task A_connection_that_is_lost_is_reported_while_what_has_come_still_plays()
    {
        await using var service = await TestService.Start();
        await using var browser = await Open(service);
        var page = browser.Page;
        var wav = Convert.ToBase64String(WavFormat.File(new float[3 * SpeechResult.SampleRate]));
        await page.RouteAsync(
            "**/speak",
            route =>
                route.FulfillAsync(
                    new()
                    {
                        ContentType = "text/event-stream",
                        Body =
                            "data: {\"chunk_index\":0,\"total_chunks\":2,\"text\":\"One.\",\"audio_size\":1,\"status\":\"success\",\"sentence_index\":0,\"total_sentences\":2}\n\n"
                            + $"data: {{\"audio_data\":\"{wav}\",\"chunk_index\":0,\"sentence_index\":0}}\n\n", // and no more
                    }
                )
        );
        await page.EvaluateAsync("document.getElementById('key').value = 'a key, so that the page fetches'");
        await page.Locator("#text").FillAsync("One. Two.");
        await page.Locator("#speak").ClickAsync();
        await Assertions.Expect(page.Locator("#error")).ToHaveTextAsync("The connection was lost.");
        await Assertions.Expect(page.Locator("#status")).ToHaveTextAsync("The connection was lost; what has come is played to its end.");
        await Assertions.Expect(page.Locator("#stop")).ToBeEnabledAsync();
        await Assertions.Expect(page.Locator("#status")).ToHaveTextAsync("Done.");
        await Assertions.Expect(page.Locator("#speak")).ToBeEnabledAsync();
    }

    [Fact]
    public async Task Chunks_follow_each_other_at_the_very_sample()
    {
        await using var service = await TestService.Start();
        service.Model.ChunkSamples = 3000;
        await using var browser = await Open(service);
        var page = browser.Page;
        await page.Locator("#text").FillAsync("This is the first sentence. And this is the second.");
        await page.Locator("#speak").ClickAsync();
        await Assertions.Expect(page.Locator("#status")).ToHaveTextAsync("Done.");
        await Assertions
            .Expect(page.Locator("#sentences li.played"))
            .ToHaveTextAsync(["This is the first sentence.", "And this is the second."]);
        Assert.True(await page.EvaluateAsync<int>("chatterbox.pieces.length") > 4);
        Assert.True(
            await page.EvaluateAsync<bool>(
                "chatterbox.pieces.every((p, i, all) => Number.isInteger(p.start) && p.end === p.start + p.node.buffer.length && (i === "
                    + "0 || p.start === all[i - 1].end))"
            )
        );
        var download = await page.RunAndWaitForDownloadAsync(() => page.Locator("#download").ClickAsync());
        var heard = Wav.Read(await File.ReadAllBytesAsync(await download.PathAsync()));
        var tones = service.Model.Calls.SelectMany(c => FakeModel.Tone(c.Text, c.Voice, c.Sampling)).ToArray();
        Assert.Equal(tones.Length, heard.Length);
        Assert.Equal(tones[200..6200], heard[200..6200], Wav.Close); // over the first join
    }

    [Fact]
    public async Task Another_model_is_heard_in_a_language_it_speaks()
    {
        var other = new FakeModel();
        var served = new ServedModel("fake", "cpu", StandIn: false, () => new FakeModel());
        await using var service = await TestService.Start(
            models: [served, served with { Name = "other", Load = () => other, Languages = ["de", "fr"], Lacks = ["cfg_weight"] }]
        );
        await using var browser = await Open(service);
        var page = browser.Page;
        await Assertions.Expect(page.Locator("#model-name option")).ToHaveTextAsync(["fake", "other"]);
        await Assertions.Expect(page.Locator("#language")).ToBeHiddenAsync();
        await page.Locator("#model-name").SelectOptionAsync("other");
        await page.Locator("#language").SelectOptionAsync("fr");
        await Assertions.Expect(page.Locator("#cfg_weight")).ToBeDisabledAsync();
        await page.Locator("#exaggeration").FillAsync("0.8");
        await page.Locator("#text").FillAsync(FakeModel.TwoPieces);
        await page.Locator("#speak").ClickAsync();
        await Assertions.Expect(page.Locator("#status")).ToHaveTextAsync("Done.");
        Assert.Equal(2, other.Calls.Count);
        Assert.All(
            other.Calls,
            call => Assert.Equal(("fr", 0.8, null), (call.Language, call.Sampling.Exaggeration, call.Sampling.CfgWeight))
        );
        var download = await page.RunAndWaitForDownloadAsync(() => page.Locator("#download").ClickAsync());
        var heard = Wav.Read(await File.ReadAllBytesAsync(await download.PathAsync())).Length;
        Assert.Equal(heard, await page.EvaluateAsync<int>("chatterbox.pieces.reduce((sum, p) => sum + p.node.buffer.length, 0)"));
        Assert.True(heard > other.Calls.Sum(call => FakeModel.Tone(call.Text, call.Voice, call.Sampling).Length));

        await page.Locator("#text").FillAsync("This is unspeakable.");
        await page.Locator("#speak").ClickAsync();
        await Assertions.Expect(page.Locator("#error")).ToContainTextAsync("could not be generated");
    }

    [Fact]
    public async Task Stop_is_heard_by_the_service()
    {
        await using var service = await TestService.Start();
        service.Model.Holds = true;
        await using var browser = await Open(service);
        await browser.Page.Locator("#text").FillAsync("This is never made.");
        await browser.Page.Locator("#text").PressAsync("Control+Enter");
        await Waits.Until(() => service.Model.IsWaiting);
        await browser.Page.Locator("#stop").PressAsync("Escape");
        await Assertions.Expect(browser.Page.Locator("#status")).ToHaveTextAsync("Stopped.");
        await Waits.Until(() => service.Model.Cancelled.Count == 1);
    }

    [Fact]
    public async Task Stop_between_two_chunks_is_silence_and_the_next_text_is_heard()
    {
        await using var service = await TestService.Start();
        service.Model.ChunkSamples = 6000;
        service.Model.Holds = true;
        service.Model.LetGo(2);
        await using var browser = await Open(service);
        var page = browser.Page;
        await page.Locator("#text").FillAsync("The end of this is never made, whoever waits for it.");
        await page.Locator("#speak").ClickAsync();
        // not WaitForFunction, which evaluates the string in the page again and again: the page's policy lets only the first evaluation
        // through
        await Waits.Until(() => page.EvaluateAsync<bool>("chatterbox.length === 2"));
        await page.Locator("#stop").ClickAsync();
        await Assertions.Expect(page.Locator("#status")).ToHaveTextAsync("Stopped.");
        Assert.Equal(0, await page.EvaluateAsync<int>("chatterbox.length"));
        await Waits.Until(() => service.Model.Cancelled.Count == 1);
        service.Model.LetGo(10);
        await page.Locator("#text").FillAsync("But this is.");
        await page.Locator("#speak").ClickAsync();
        await Assertions.Expect(page.Locator("#status")).ToHaveTextAsync("Done.");
        await Assertions.Expect(page.Locator("#sentences li.played")).ToHaveTextAsync(["But this is."]);
    }

    [Fact]
    public async Task Errors_are_shown()
    {
        await using var service = await TestService.Start();
        await using var browser = await Open(service);
        await browser.Page.Locator("#text").FillAsync("<b></b>");
        await browser.Page.Locator("#speak").ClickAsync();
        await Assertions.Expect(browser.Page.Locator("#error")).ToHaveTextAsync("Empty text after cleaning");
        await browser.Page.Locator("#text").FillAsync("Fine. This is unspeakable. Fine.");
        await browser.Page.Locator("#speak").ClickAsync();
        await Assertions.Expect(browser.Page.Locator("#error")).ToHaveTextAsync("Sentence 2 could not be generated.");
        await Assertions.Expect(browser.Page.Locator("#status")).ToHaveTextAsync("Done.");
        await Assertions.Expect(browser.Page.Locator("#sentences li.played")).ToHaveCountAsync(2);
    }

    [Fact]
    public async Task What_is_left_out_of_a_long_text_is_told()
    {
        await using var service = await TestService.Start();
        await using var browser = await Open(service);
        await browser.Page.Locator("#text").FillAsync(string.Concat(Enumerable.Repeat("Is this the last sentence that is spoken? ", 30)));
        await browser.Page.Locator("#speak").ClickAsync();
        await Assertions.Expect(browser.Page.Locator("#error")).ToContainTextAsync("the rest is left out");
    }

    [Fact]
    public async Task With_a_key_it_speaks_too()
    {
        await using var service = await TestService.Start(new() { ["Security:ApiKeys:0"] = "a-key-of-some-length" });
        await using var browser = await Open(service);
        await browser.Page.Locator("#key").FillAsync("a-key-of-some-length");
        await browser.Page.Locator("#text").FillAsync("Let me in.");
        await browser.Page.Locator("#speak").ClickAsync();
        await Assertions.Expect(browser.Page.Locator("#status")).ToHaveTextAsync("Done.");
    }

    [Theory]
    [InlineData(ColorScheme.Light)]
    [InlineData(ColorScheme.Dark)]
    public async Task It_fits_a_phone(ColorScheme colors)
    {
        await using var service = await TestService.Start();
        await using var browser = await Open(
            service,
            new()
            {
                ViewportSize = new() { Width = 360, Height = 740 },
                ColorScheme = colors,
            }
        );
        Assert.True(await browser.Page.EvaluateAsync<bool>("document.documentElement.scrollWidth <= innerWidth"));
        if (Environment.GetEnvironmentVariable("CHATTERBOX_SCREENSHOTS") is { } folder)
        {
            await browser.Page.ScreenshotAsync(new() { Path = Path.Combine(folder, $"page-{colors}.png"), FullPage = true });
        }
    }

    internal static async Task<Browser> Open(TestService service, BrowserNewPageOptions? options = null, params string[] args)
    {
        Assert.SkipWhen(Chromium is null, "Chromium is not installed");
        var playwright = await Playwright.CreateAsync();
        var browser = await playwright.Chromium.LaunchAsync(
            new()
            {
                ExecutablePath = Chromium,
                Args = ["--no-sandbox", "--autoplay-policy=user-gesture-required", .. args],
                Env = Environment
                    .GetEnvironmentVariables()
                    .Cast<DictionaryEntry>() // the browser needs libraries that may be hidden from the service
                    .Where(variable => variable.Key is not "LD_LIBRARY_PATH")
                    .Select(variable => KeyValuePair.Create((string)variable.Key, (string)variable.Value!)),
            }
        );
        var page = await browser.NewPageAsync(options);
        page.SetDefaultTimeout((float)Waits.Limit.TotalMilliseconds);
        // a busy machine may take longer than the five seconds it has by itself
        Assertions.SetDefaultExpectTimeout((float)Waits.Limit.TotalMilliseconds);
        var faults = new List<string>();
        page.PageError += (_, error) => faults.Add(error);
        page.Request += (_, request) =>
        {
            if (
                !request.Url.StartsWith(service.Address.ToString(), StringComparison.Ordinal)
                && !request.Url.StartsWith("data:", StringComparison.Ordinal)
                && !request.Url.StartsWith("blob:", StringComparison.Ordinal)
            )
            {
                faults.Add($"outside: {request.Url}");
            }
        };
        await page.GotoAsync(service.Address.ToString());
        return new Browser(playwright, browser, page, faults);
    }

    internal sealed record Browser(IPlaywright Playwright, IBrowser Instance, IPage Page, List<string> Faults) : IAsyncDisposable
    {
        public async ValueTask DisposeAsync()
        {
            await Instance.DisposeAsync();
            Playwright.Dispose();
            Assert.Empty(Faults);
        }
    }
}
