using System.Buffers;
using System.Text.Json;
using Chatterbox.Audio;
using Chatterbox.Service.Hosting;
using Chatterbox.Service.Models;
using Chatterbox.Service.OpenAi;
using Chatterbox.Service.Streaming;
using Microsoft.AspNetCore.Http.Features;

namespace Chatterbox.Service.ElevenLabs;

/// <summary>The speech of complete texts on ElevenLabs' routes.</summary>
internal sealed class ElevenAnswers(ModelFleet fleet, SpeechAnswers answers, AudioCodecs codecs)
{
    /// <summary>Speech as bytes.</summary>
    public async Task<IResult> SpeakAsync(HttpContext http, string route, string voice, ElevenBody body, Delivery delivery) =>
        new SpeechResponse(await BeginAsync(http, route, voice, body, ElevenSpeech.Limits), delivery);

    /// <summary>Speech with the times of its sentences.</summary>
    public async Task<IResult> SpeakTimedAsync(HttpContext http, string route, string voice, ElevenBody body, bool streams)
    {
        var answer = await BeginAsync(http, route, voice, body, ElevenSpeech.Limits with { BySentence = true });
        if (streams)
        {
            return new TimedSpeechResult(answer);
        }

        var audio = await answer.CollectAsync(http.RequestAborted);
        return TypedResults.Ok(new ElevenTimedSpeech(audio, [.. answer.Sentences]));
    }

    private async Task<SpokenAnswer> BeginAsync(HttpContext http, string route, string voice, ElevenBody body, TextLimits limits)
    {
        var model = ElevenSpeech.Model(fleet, body.ModelId);
        var format = ElevenSpeech.Format(http.Request.Query["output_format"], codecs);
        var speech = ElevenSpeech.Body(
            model,
            voice,
            body.Text,
            body.VoiceSettings,
            body.LanguageCode,
            body.Seed,
            ElevenSpeech.Normalization(body.ApplyTextNormalization)
        );
        return await answers.BeginAsync(http, route, model, speech, format, limits);
    }
}

/// <summary>Speech as it is made, in lines of JSON: each has the next bytes, and the times of the sentences that have ended.</summary>
internal sealed class TimedSpeechResult(SpokenAnswer answer) : IResult
{
    /// <inheritdoc/>
    public async Task ExecuteAsync(HttpContext http)
    {
        var cancellationToken = http.RequestAborted;
        await using var blocks = await answer.FirstAsync(cancellationToken);
        SpeechHeaders.Set(http.Response.Headers, answer.Speech);
        http.Response.ContentType = "application/json";
        http.Response.Headers["X-Accel-Buffering"] = "no"; // proxies pass each line on at once
        http.Features.Get<IHttpResponseBodyFeature>()?.DisableBuffering();
        var sent = 0;
        var more = true;
        while (more)
        {
            var audio = blocks.Current.ToArray(); // good until the next is asked for, which may end more sentences
            more = await blocks.MoveNextAsync();
            var ended = answer.Sentences.Skip(sent).ToList();
            sent += ended.Count;
            await JsonSerializer.SerializeAsync(
                http.Response.BodyWriter,
                new ElevenTimedSpeech(audio, ended),
                Json.Of<ElevenTimedSpeech>(),
                cancellationToken
            );
            http.Response.BodyWriter.Write("\n"u8);
            await http.Response.BodyWriter.FlushAsync(cancellationToken); // waits for a slow reader
        }
    }
}
