using System.Net;
using System.Text.Json;

namespace Chatterbox.Service.Tests;

/// <summary>Texts as people write them, on every route.</summary>
public sealed class SpokenTextTests
{
    private const string Route = "/v1/audio/speech";
    private const string Written = "Dr. Smith paid $5.";
    private const string Spoken = "Doctor Smith paid five dollars.";

    [Theory]
    [InlineData("English", "null", Spoken)]
    [InlineData("English", "\"auto\"", Spoken)]
    [InlineData("English", "false", Written)]
    [InlineData("English", "\"off\"", Written)]
    [InlineData("Off", "null", Written)]
    [InlineData("Off", "true", Spoken)]
    [InlineData("Off", "\"on\"", Spoken)]
    public async Task The_setting_holds_unless_the_request_says_otherwise(string setting, string normalize, string spoken)
    {
        await using var service = await TestService.Start(new() { ["Text:Normalize"] = setting });
        using var answer = await service.PostText(
            Route,
            $$"""{"model":"fake","voice":"alloy","response_format":"pcm","input":"{{Written}}","normalize":{{normalize}}}"""
        );
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        Assert.False(answer.Headers.Contains("X-Chatterbox-Ignored"));
        Assert.Equal(spoken, service.Model.Calls.Single().Text);
    }

    [Theory]
    [InlineData("English", null, "en", Written)] // of several languages, none is known
    [InlineData("English", "en", "en", Spoken)]
    [InlineData("English", "de", "de", "Es sind 5 Euro.")]
    [InlineData("All", "de", "de", "Es sind fünf Euro.")]
    public async Task Other_languages_are_as_they_are_set(string setting, string? language, string text, string spoken)
    {
        await using var service = await TestService.Start(
            new() { ["Text:Normalize"] = setting },
            fake => fake with { Languages = ["en", "de"], OnlyLanguage = null }
        );
        using var answer = await service.Post(
            Route,
            new
            {
                model = "fake",
                voice = "alloy",
                response_format = "pcm",
                input = text == "de" ? "Es sind 5 Euro." : Written,
                language,
            }
        );
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        Assert.Equal(spoken, service.Model.Calls.Single().Text);
    }

    [Fact]
    public async Task A_model_that_writes_out_by_itself_gets_texts_as_they_are()
    {
        await using var service = await TestService.Start(describe: fake => fake with { SpellsOut = true });
        using var answer = await service.Post(
            Route,
            new
            {
                model = "fake",
                voice = "alloy",
                response_format = "pcm",
                input = Written,
            }
        );
        Assert.Equal(Written, service.Model.Calls.Single().Text);
    }

    [Fact]
    public async Task Words_are_respelled_by_setting_and_request_and_markup_is_skipped()
    {
        await using var service = await TestService.Start(
            new() { ["Text:Pronunciations:en:SQL"] = "sequel", ["Text:Pronunciations:*:nginx"] = "engine x" }
        );
        using var answer = await service.Post(
            Route,
            new
            {
                model = "fake",
                voice = "alloy",
                response_format = "pcm",
                input = "**SQL** and nginx and Git \ud83d\ude00.",
                markup = "skip",
                pronunciations = new Dictionary<string, string> { ["Git"] = "gitt" },
            }
        );
        Assert.Equal("sequel and engine x and gitt .", service.Model.Calls.Single().Text);
    }

    [Theory]
    [InlineData("\"normalize\":\"perhaps\"", "normalize")]
    [InlineData("\"normalize\":5", "normalize")]
    [InlineData("\"markup\":\"eat\"", "markup")]
    [InlineData("\"pronunciations\":{\"\":\"a\"}", "pronunciations")]
    [InlineData("\"pronunciations\":{\"a\":null}", "pronunciations")]
    [InlineData("\"pronunciations\":[]", "pronunciations")]
    public async Task A_field_that_is_wrong_is_told(string field, string name)
    {
        await using var service = await TestService.Start();
        using var answer = await service.PostText(Route, $$"""{"model":"fake","voice":"alloy","input":"Hello.",{{field}}}""");
        await answer.AssertOpenAiError(HttpStatusCode.BadRequest, name);
    }

    [Fact]
    public async Task Times_and_subtitles_have_the_text_as_it_was_written()
    {
        await using var service = await TestService.Start();
        using var answer = await service.Post(
            Route,
            new
            {
                model = "fake",
                voice = "alloy",
                response_format = "srt",
                input = "Dr. Smith paid $5 there. It is 5 p.m. now.",
            }
        );
        var subtitles = await answer.Content.ReadAsStringAsync();
        Assert.Contains("Dr. Smith paid $5 there.", subtitles);
        Assert.Contains("It is 5 p.m. now.", subtitles);
        Assert.Equal(["Doctor Smith paid five dollars there.", "It is five PM now."], service.Model.Calls.Select(call => call.Text));
    }

    [Fact]
    public async Task Speak_tells_sentences_as_they_were_written()
    {
        await using var service = await TestService.Start();
        using var answer = await service.Post("/speak", new { text = "It costs $5! Really?", stream = true });
        var events = await answer.Events();
        Assert.Equal(
            ["It costs $5!", "Really?"],
            events.Where(e => e.TryGetProperty("text", out _)).Select(e => e.GetProperty("text").GetString())
        );
        Assert.Equal(["It costs five dollars!", "Really?"], service.Model.Calls.Select(call => call.Text));
    }

    [Fact]
    public async Task A_session_has_the_same_fields()
    {
        await using var service = await TestService.Start(new() { ["Text:Normalize"] = "Off" });
        await using var client = await SessionClient.Open(
            service,
            new
            {
                type = "session",
                normalize = "on",
                markup = "skip",
                pronunciations = new { Git = "gitt" },
            }
        );
        await client.Write("Git has *5* parts. ```\ncode. More code");
        await client.Write(". Yes\n```\nThe end.");
        await client.Send(new { type = "flush" });
        var told = new List<JsonElement>();
        do
        {
            told.Add(await client.Next());
        } while (told[^1].GetProperty("type").GetString() != "flushed");

        Assert.Equal(["gitt has five parts.", "The end."], service.Model.Calls.Select(call => call.Text));
        Assert.Equal("Git has *5* parts.", told[0].GetProperty("text").GetString());
    }

    [Theory]
    [InlineData("on", Spoken)]
    [InlineData("off", Written)]
    [InlineData("auto", Spoken)]
    public async Task ElevenLabs_field_is_understood(string choice, string spoken)
    {
        await using var service = await TestService.Start();
        using var answer = await service.Post(
            "/v1/text-to-speech/default?output_format=pcm_24000",
            new { text = Written, apply_text_normalization = choice }
        );
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        Assert.Equal(spoken, service.Model.Calls.Single().Text);
        using var wrong = await service.Post("/v1/text-to-speech/default", new { text = Written, apply_text_normalization = "maybe" });
        Assert.Equal(HttpStatusCode.BadRequest, wrong.StatusCode);
    }
}
