using System.Globalization;
using Chatterbox.Audio;
using Chatterbox.Engine;
using Chatterbox.Service.Hosting;
using Chatterbox.Service.Models;
using Chatterbox.Service.Streaming;
using Chatterbox.Service.Voices;
using Chatterbox.Text;
using Microsoft.Extensions.Options;

namespace Chatterbox.Service.OpenAi;

/// <summary>Speech on its way to a client.</summary>
/// <param name="Plan">Its text.</param>
/// <param name="Format">Its format.</param>
/// <param name="Speech">What is known of it so far.</param>
/// <param name="Encode">Begins to encode it, once: as one whole file (true), or as it is made, each block of bytes being good until the
/// next
/// is asked for.</param>
/// <param name="Speed">Its tempo.</param>
internal sealed record SpokenAnswer(
    TextPlan Plan,
    AudioFormat Format,
    JoinedSpeech Speech,
    Func<bool, IAsyncEnumerable<ReadOnlyMemory<byte>>> Encode,
    double Speed = 1
)
{
    /// <summary>Whether the request asks for the times of its sentences.</summary>
    public bool TellsTimes { get; init; }

    /// <summary>The pieces that have been spoken to their ends, and when they are heard: sentences where the text was cut at
    /// each.</summary>
    public IEnumerable<SentenceTime> Sentences =>
        Speech.Times.Select(time => new SentenceTime(Plan.Written[time.Piece], time.StartSeconds / Speed, time.EndSeconds / Speed));

    /// <summary>Waits for the first bytes, so that a failure until then is an error of the request.</summary>
    /// <param name="cancellationToken">Ends it.</param>
    /// <returns>The blocks, at the first.</returns>
    public Task<IAsyncEnumerator<ReadOnlyMemory<byte>>> FirstAsync(CancellationToken cancellationToken) =>
        FirstAsync(Encode(false), cancellationToken);

    /// <summary>All of its bytes, with their length in the header of a file that has one.</summary>
    /// <inheritdoc cref="FirstAsync(CancellationToken)"/>
    public async Task<ReadOnlyMemory<byte>> CollectAsync(CancellationToken cancellationToken)
    {
        await using var file = await FirstAsync(Encode(true), cancellationToken);
        return file.Current;
    }

    private static async Task<IAsyncEnumerator<ReadOnlyMemory<byte>>> FirstAsync(
        IAsyncEnumerable<ReadOnlyMemory<byte>> bytes,
        CancellationToken cancellationToken
    )
    {
        var blocks = bytes.GetAsyncEnumerator(cancellationToken);
        try
        {
            return await blocks.MoveNextAsync() ? blocks : throw new EncoderException("No audio came of the request.");
        }
        catch
        {
            await blocks.DisposeAsync();
            throw;
        }
    }
}

/// <summary>Begins the speech of a complete text, for every dialect: parameters checked, voice found, queued, encoded.</summary>
internal sealed class SpeechAnswers(
    ModelFleet fleet,
    SpeechDesk desk,
    VoiceNames voices,
    SpokenForms forms,
    AudioCodecs codecs,
    EncoderGate encoders,
    IOptions<StreamingOptions> streaming
)
{
    /// <summary>Begins speech that is the answer to a request, and tells its headers.</summary>
    /// <param name="http">The request.</param>
    /// <param name="route">The route's name in the log and in measurements.</param>
    /// <param name="model">Who speaks.</param>
    /// <param name="body">What is to be said, and how.</param>
    /// <param name="format">The form of its audio.</param>
    /// <param name="limits">How the dialect takes its text.</param>
    public async Task<SpokenAnswer> BeginAsync(
        HttpContext http,
        string route,
        FleetModel model,
        SpeechBody body,
        AudioFormat format,
        TextLimits? limits = null
    )
    {
        var order = await PrepareAsync(Clients.Of(http), model, body, format, limits, http.RequestAborted);
        http.Response.RegisterForDispose(order);
        var job = desk.Submit(http, route, model, order.Request);
        http.Response.Headers["X-Chatterbox-Seed"] = order.Request.Sampling.Seed!.Value.ToString(CultureInfo.InvariantCulture);
        VoiceHeader.Set(http.Response.Headers, order.VoiceName);
        return Encode(order, job, body, format, http.RequestAborted);
    }

    /// <summary>Begins speech that is part of an answer.</summary>
    /// <returns>The speech, and what is to be disposed at its end.</returns>
    public async Task<(SpokenAnswer Answer, IDisposable Place)> BeginPartAsync(
        Caller caller,
        string route,
        FleetModel model,
        SpeechBody body,
        AudioFormat format,
        CancellationToken cancellationToken
    )
    {
        var order = await PrepareAsync(caller.Client, model, body, format, limits: null, cancellationToken);
        try
        {
            return (
                Encode(order, desk.Submit(caller, route, model, order.Request, cancellationToken), body, format, cancellationToken),
                order
            );
        }
        catch
        {
            order.Dispose();
            throw;
        }
    }

    private async Task<Order> PrepareAsync(
        string client,
        FleetModel model,
        SpeechBody body,
        AudioFormat format,
        TextLimits? limits,
        CancellationToken cancellationToken
    )
    {
        limits ??= TextLimits.OpenAi with { BySentence = SpeechParameters.AsksForTimes(body) };
        SpeechParameters.Check(body, model.Served, limits);
        var plan = limits.Plan(body.Input, forms.Of(model.Served, body));
        fleet.ThrowIfStarting();
        var place = AudioCodecs.NeedsProcess(format) ? encoders.Enter(client) : null;
        try
        {
            var voice = await voices.Find(body.Voice, model, client, cancellationToken);
            return new Order(
                plan,
                voice.Name,
                place,
                new SpeechRequest
                {
                    Pieces = plan.Pieces,
                    Voice = voice.Voice,
                    Sampling = SpeechParameters.Sampling(body, body.Seed ?? SpeechParameters.DrawSeed()),
                    Language = body.Language,
                    Chunks = body is { Chunk: true, Stream: true } ? streaming.Value.Chunks() : null,
                }
            );
        }
        catch
        {
            place?.Dispose();
            throw;
        }
    }

    private SpokenAnswer Encode(Order order, SpeechJob job, SpeechBody body, AudioFormat format, CancellationToken cancellationToken)
    {
        var speech = new JoinedSpeech(order.Plan);
        return new SpokenAnswer(
            order.Plan,
            format,
            speech,
            isWhole =>
                codecs.Encode(speech.Blocks(job.Events, cancellationToken), format, body.Speed, job.Begun, isWhole, cancellationToken),
            body.Speed
        )
        {
            TellsTimes = SpeechParameters.AsksForTimes(body),
        };
    }

    private sealed record Order(TextPlan Plan, string VoiceName, IDisposable? Encoder, SpeechRequest Request) : IDisposable
    {
        public void Dispose() => Encoder?.Dispose();
    }
}
