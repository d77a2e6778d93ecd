using System.Diagnostics;
using System.Text.Json;
using Microsoft.Playwright;

namespace Chatterbox.Service.Tests;

/// <summary>The page as a studio: voices, settings, playback, takes, recordings, code, long texts, and whether everyone can use
/// it.</summary>
public sealed class StudioTests
{
    private const string Text = "This is the first. This is the second.";

    private static readonly string Axe = Path.Combine(
        TestService.Fixtures,
        "..",
        "Service.Tests",
        "web",
        "node_modules",
        "axe-core",
        "axe.min.js"
    );

    [Fact]
    public async Task A_voice_is_heard_added_and_deleted()
    {
        await using var service = await TestService.Start(new() { ["Voices:UploadsEnabled"] = "true" });
        await using var browser = await PageTests.Open(service);
        var page = browser.Page;
        await page.Locator("#preview").ClickAsync();
        await Assertions.Expect(page.Locator("#voice-status")).ToHaveTextAsync("A sample of default.");
        await Assertions.Expect(page.Locator("#delete-voice")).ToBeHiddenAsync();

        await page.Locator("#new-voice summary").ClickAsync();
        await page.Locator("#voice-name").FillAsync("Ann");
        await page.Locator("#voice-file")
            .SetInputFilesAsync(
                new FilePayload
                {
                    Name = "ann.wav",
                    MimeType = "audio/wav",
                    Buffer = new byte[2000],
                }
            );
        await Assertions.Expect(page.Locator("#add-voice")).ToBeDisabledAsync();
        await page.Locator("#consent").CheckAsync();
        await page.Locator("#add-voice").ClickAsync();
        await Assertions.Expect(page.Locator("#voice-status")).ToHaveTextAsync("Ann was added.");
        await Assertions.Expect(page.Locator("#voice")).ToHaveValueAsync("Ann");
        Assert.True(File.Exists(Path.Combine(service.VoicesFolder, "Ann.wav")));

        page.Dialog += (_, dialog) => dialog.AcceptAsync();
        await page.Locator("#delete-voice").ClickAsync();
        await Assertions.Expect(page.Locator("#voice-status")).ToHaveTextAsync("Ann was deleted.");
        await Assertions.Expect(page.Locator("#voice option")).ToHaveTextAsync(["default"]);
    }

    [Fact]
    public async Task A_voice_is_recorded_in_the_browser()
    {
        await using var service = await TestService.Start(new() { ["Voices:UploadsEnabled"] = "true" });
        await using var browser = await PageTests.Open(
            service,
            null,
            "--use-fake-device-for-media-stream",
            "--use-fake-ui-for-media-stream"
        );
        var page = browser.Page;
        await page.Locator("#new-voice summary").ClickAsync();
        await page.Locator("#record").ClickAsync();
        await Assertions.Expect(page.Locator("#voice-status")).ToContainTextAsync("Recording: 1 s");
        await page.Locator("#record").ClickAsync();
        await Assertions.Expect(page.Locator("#voice-status")).ToContainTextAsync("Recorded.");
        byte[] sent = [];
        await page.RouteAsync(
            "**/v1/audio/voices",
            route =>
            {
                sent = route.Request.PostDataBuffer!;
                return route.FulfillAsync(
                    new()
                    {
                        Status = 201,
                        ContentType = "application/json",
                        Body = "{}",
                    }
                );
            }
        );
        await page.Locator("#voice-name").FillAsync("Me");
        await page.Locator("#consent").CheckAsync();
        await page.Locator("#add-voice").ClickAsync();
        await Assertions.Expect(page.Locator("#voice-status")).ToHaveTextAsync("Me was added.");
        var wav = sent.AsSpan().IndexOf("RIFF"u8);
        Assert.True(wav > 0 && sent.Length - wav > 30_000, $"{sent.Length} bytes were sent");
    }

    [Fact]
    public async Task Where_voices_cannot_be_added_nothing_offers_it()
    {
        await using var service = await TestService.Start();
        await using var browser = await PageTests.Open(service);
        await Assertions.Expect(browser.Page.Locator("#format option")).Not.ToHaveCountAsync(0);
        await Assertions.Expect(browser.Page.Locator("#new-voice")).ToBeHiddenAsync();
    }

    [Fact]
    public async Task Presets_and_seeds_are_what_the_service_gets_and_takes_are_made_again()
    {
        await using var service = await TestService.Start();
        await using var browser = await PageTests.Open(service);
        var page = browser.Page;
        await page.Locator("#preset").SelectOptionAsync("calm");
        await Assertions.Expect(page.Locator("#exaggeration-value")).ToHaveTextAsync("0.3");
        await page.Locator("#temperature").FillAsync("0.8");
        await Assertions.Expect(page.Locator("#preset")).ToHaveValueAsync("");
        await page.Locator("#seed").FillAsync("41");
        await Speak(page);
        Assert.All(service.Model.Calls, call => Assert.Equal((0.3, 0.6), (call.Sampling.Exaggeration, call.Sampling.CfgWeight)));
        Assert.Equal([41, 42], service.Model.Calls.Select(call => call.Sampling.Seed!.Value).Order());

        await page.Locator("#reset").ClickAsync();
        await Assertions.Expect(page.Locator("#seed")).ToHaveValueAsync("");
        await Assertions.Expect(page.Locator("#takes li")).ToHaveCountAsync(1);
        await Assertions.Expect(page.Locator("#takes")).ToContainTextAsync("exaggeration 0.3, cfg_weight 0.6, seed 41");
        await page.Locator("#takes button", new() { HasText = "Again" }).ClickAsync();
        await Assertions.Expect(page.Locator("#takes li")).ToHaveCountAsync(2);
        Assert.Equal([41, 42], service.Model.Calls.Skip(2).Select(call => call.Sampling.Seed!.Value).Order());
        Assert.All(service.Model.Calls.Skip(2), call => Assert.Equal(0.3, call.Sampling.Exaggeration));
        await page.Locator("#takes button", new() { HasText = "Other seed" }).First.ClickAsync();
        await Assertions.Expect(page.Locator("#takes li")).ToHaveCountAsync(3);
        Assert.DoesNotContain(41, service.Model.Calls.Skip(4).Select(call => call.Sampling.Seed!.Value));
    }

    [Fact]
    public async Task A_take_is_paused_replayed_and_played_from_another_place_at_another_speed()
    {
        await using var service = await TestService.Start();
        await using var browser = await PageTests.Open(service);
        var page = browser.Page;
        await page.Locator("#text").FillAsync(string.Concat(Enumerable.Repeat("A sentence that takes a while to be heard. ", 8)));
        await page.Locator("#speak").ClickAsync();
        await Assertions.Expect(page.Locator("#replay")).ToBeEnabledAsync(); // all has come, and still plays
        await page.Locator("#pause").ClickAsync();
        await Assertions.Expect(page.Locator("#pause")).ToHaveTextAsync("Resume");
        Assert.True(await page.EvaluateAsync<bool>("chatterbox.isPaused"));
        var heard = await page.EvaluateAsync<double>("chatterbox.position");
        await page.Locator("#pause").ClickAsync();
        await Waits.Until(() =>
            page.EvaluateAsync<bool>($"chatterbox.position > {heard.ToString(System.Globalization.CultureInfo.InvariantCulture)}")
        );

        await page.Locator("#rate").SelectOptionAsync("2");
        await page.Locator("#seek").FillAsync("3");
        await Assertions.Expect(page.Locator("#status")).ToHaveTextAsync("Done.");
        await Assertions.Expect(page.Locator("#sentences li.played")).Not.ToHaveCountAsync(0);
        await Assertions.Expect(page.Locator("#sentences li.playing")).ToHaveCountAsync(1);
        await Assertions.Expect(page.Locator("#pause")).ToHaveTextAsync("Pause");
        await Assertions.Expect(page.Locator("#sentences li.played")).ToHaveCountAsync(8); // to the end
        await Assertions.Expect(page.Locator("#pause")).ToHaveTextAsync("Play");
        await page.Locator("#replay").ClickAsync();
        await Assertions.Expect(page.Locator("#sentences li").First).ToHaveClassAsync("playing");
    }

    [Fact]
    public async Task A_take_is_saved_in_other_formats()
    {
        await using var service = await TestService.Start();
        await using var browser = await PageTests.Open(service);
        var page = browser.Page;
        await page.Locator("#seed").FillAsync("5");
        await Speak(page);
        Assert.Contains("opus", await page.Locator("#format option").AllTextContentsAsync());
        await page.Locator("#format").SelectOptionAsync("flac");
        var download = await page.RunAndWaitForDownloadAsync(() => page.Locator("#download-as").ClickAsync());
        Assert.Equal("speech.flac", download.SuggestedFilename);
        Assert.Equal("fLaC"u8.ToArray(), (await File.ReadAllBytesAsync(await download.PathAsync()))[..4]);
        // the same sentences with the same seeds
        Assert.Equal([5, 5, 6, 6], service.Model.Calls.Select(call => call.Sampling.Seed!.Value).Order());
    }

    [Fact]
    public async Task Recordings_are_converted_and_checked_with_the_keyboard_alone()
    {
        await using var service = await TestService.Start();
        await using var browser = await PageTests.Open(service);
        var page = browser.Page;
        var recording = Path.Combine(TestService.Fixtures, "audio", "jfk_16k_mono.wav");
        await page.Locator("#tab-speak").FocusAsync();
        await page.Keyboard.PressAsync("ArrowRight");
        await page.Locator("#convert-file").SetInputFilesAsync(recording);
        await page.Locator("#convert").PressAsync("Enter");
        await Assertions.Expect(page.Locator("#convert-status")).ToHaveTextAsync("Done.");
        await Assertions.Expect(page.Locator("#converted")).ToBeVisibleAsync();
        await page.Locator("#tab-convert").FocusAsync();
        await page.Keyboard.PressAsync("End");
        await Assertions.Expect(page.Locator("#tab-check")).ToBeFocusedAsync();
        await page.Locator("#check-file").SetInputFilesAsync(recording);
        await page.Locator("#check").PressAsync("Enter");
        await Assertions.Expect(page.Locator("#check-status")).ToContainTextAsync("watermark");
        await Assertions.Expect(page.Locator("#panel-speak")).ToBeHiddenAsync();
    }

    [Fact]
    public async Task The_request_in_code_does_what_the_page_does()
    {
        Assert.SkipUnless(File.Exists("/usr/bin/curl"), "curl is not installed");
        await using var service = await TestService.Start();
        await using var browser = await PageTests.Open(service);
        var page = browser.Page;
        await page.Locator("#text").FillAsync("It's \"quoted\" \\ here.");
        await page.Locator("#seed").FillAsync("9");
        await page.Locator("#exaggeration").FillAsync("0.7");
        await page.Locator("#code summary").ClickAsync();
        foreach (
            var (language, part) in ((string, string)[])
                [("csharp", "PostAsJsonAsync"), ("python", "urllib.request"), ("javascript", "await fetch"), ("curl", "curl ")]
        )
        {
            await page.Locator("#snippet-language").SelectOptionAsync(language);
            Assert.Contains(part, await page.Locator("#snippet").TextContentAsync());
        }

        var folder = Directory.CreateTempSubdirectory("chatterbox-code-");
        using var shell = Process.Start(
            new ProcessStartInfo("sh", ["-c", (await page.Locator("#snippet").TextContentAsync())!])
            {
                WorkingDirectory = folder.FullName,
                RedirectStandardError = true,
            }
        )!;
        await shell.Ends();
        Assert.NotEmpty(Wav.Read(await File.ReadAllBytesAsync(Path.Combine(folder.FullName, "speech.wav"))));
        var call = Assert.Single(service.Model.Calls);
        Assert.Equal((9, 0.7), (call.Sampling.Seed, call.Sampling.Exaggeration));
        Assert.Contains("quoted", call.Text);
        folder.Delete(recursive: true);
    }

    [Fact]
    public async Task What_is_ahead_in_the_queue_and_a_stand_in_are_told()
    {
        await using var service = await TestService.Start(describe: model => model with { StandIn = true });
        service.Model.Holds = true;
        await using var browser = await PageTests.Open(service);
        var page = browser.Page;
        await Assertions.Expect(page.Locator("#stand-in")).ToBeVisibleAsync();
        var other = service.Post(
            "/v1/audio/speech",
            new
            {
                model = "fake",
                input = "First.",
                voice = "default",
            }
        );
        await Waits.Until(() => service.Model.IsWaiting);
        await page.Locator("#text").FillAsync(Text);
        await page.Locator("#speak").ClickAsync();
        await Assertions.Expect(page.Locator("#status")).ToContainTextAsync("1 request is ahead");
        service.Model.LetGo(10);
        await Assertions.Expect(page.Locator("#status")).ToHaveTextAsync("Done.");
        await other;
    }

    [Fact]
    public async Task A_long_text_becomes_a_file_in_the_background()
    {
        await using var service = await TestService.Start();
        await using var browser = await PageTests.Open(service);
        var page = browser.Page;
        await page.Locator("#text").FillAsync(string.Concat(Enumerable.Repeat("One more sentence for the file. ", 40)));
        await page.Locator("#as-job").ClickAsync();
        await Assertions.Expect(page.Locator("#job-status")).ToContainTextAsync("The file is complete");
        var download = await page.RunAndWaitForDownloadAsync(() => page.Locator("#job-file").ClickAsync());
        Assert.True(new FileInfo(await download.PathAsync()).Length > 10_000);
        await page.Locator("#job-cancel").ClickAsync();
        await Assertions.Expect(page.Locator("#job")).ToBeHiddenAsync();
    }

    [Theory]
    [InlineData(1100, ColorScheme.Light)]
    [InlineData(1100, ColorScheme.Dark)]
    [InlineData(390, ColorScheme.Light)]
    [InlineData(390, ColorScheme.Dark)]
    public async Task Everyone_can_use_it(int width, ColorScheme colors)
    {
        Assert.SkipUnless(File.Exists(Axe), "axe-core is not installed: npm ci --prefix tests/Service.Tests/web");
        await using var service = await TestService.Start(new() { ["Voices:UploadsEnabled"] = "true" });
        await using var browser = await PageTests.Open(
            service,
            new()
            {
                ViewportSize = new() { Width = width, Height = 844 },
                ColorScheme = colors,
                BypassCSP = true,
            }
        );
        var page = browser.Page;
        await Speak(page);
        Assert.True(await page.EvaluateAsync<bool>("document.documentElement.scrollWidth <= innerWidth"));
        if (width < 640)
        {
            await Assertions.Expect(page.Locator("#status")).ToBeInViewportAsync(); // what is happening is in sight without scrolling
        }

        await Screenshot(page, $"page-{width}-{colors}");
        foreach (var summary in (string[])["#new-voice summary", "#code summary"])
        {
            await page.Locator(summary).ClickAsync();
        }

        await Screenshot(page, $"studio-{width}-{colors}");
        await page.AddScriptTagAsync(new() { Content = await File.ReadAllTextAsync(Axe) });
        foreach (var tab in (string[])["#tab-speak", "#tab-convert", "#tab-check"])
        {
            await page.Locator(tab).ClickAsync();
            var found = await page.EvaluateAsync<JsonElement>(
                "axe.run().then(result => result.violations.map(v => v.id + ': ' + v.nodes.map(n => n.html).join(' ')))"
            );
            Assert.Empty(found.EnumerateArray().Select(violation => violation.GetString()));
        }
    }

    private static async Task Speak(IPage page)
    {
        await page.Locator("#text").FillAsync(Text);
        await page.Locator("#speak").ClickAsync();
        await Assertions.Expect(page.Locator("#status")).ToHaveTextAsync("Done.");
    }

    private static async Task Screenshot(IPage page, string name)
    {
        if (Environment.GetEnvironmentVariable("CHATTERBOX_SCREENSHOTS") is { } folder)
        {
            await page.ScreenshotAsync(new() { Path = Path.Combine(folder, $"{name}.png"), FullPage = true });
        }
    }
}
