using System.Runtime.CompilerServices;
using System.Runtime.ExceptionServices;
using Chatterbox.Text;

namespace Chatterbox.Engine;

/// <summary>Speech of an engine: of a text of any length, whole or while it is generated.</summary>
/// <example><code>
/// await using var engine = new SpeechEngine(await ChatterboxModel.LoadAsync("nano"));
/// var speech = await engine.SynthesizeAsync("Hello there. How are you?");
/// await foreach (var chunk in engine.StreamAsync("Hello there. How are you?"))
/// {
///     player.Write(chunk.Samples);
/// }
/// </code></example>
public static class SpeechStreaming
{
    /// <summary>Generates the speech of a text of any length: it is split into sentences, which are joined with pauses.</summary>
    /// <param name="engine">The engine.</param>
    /// <param name="text">The text; <c>[pause:1.5s]</c> is a pause.</param>
    /// <param name="voice">The voice; null for the model's own.</param>
    /// <param name="sampling">How speech tokens are chosen; null for the model's defaults.</param>
    /// <param name="language">Language code for models that speak several; null lets the model decide.</param>
    /// <param name="client">As <see cref="EngineRequest.Client"/>.</param>
    /// <param name="progress">Receives the part of the text that is complete, 0 to 1.</param>
    /// <param name="textOptions">How the text becomes what is spoken; null speaks it as it is written.</param>
    /// <param name="cancellationToken">Gives the rest up.</param>
    /// <inheritdoc cref="StreamAsync(ISpeechEngine, SpeechRequest, CancellationToken)" path="/exception"/>
    public static async Task<SpokenText> SynthesizeAsync(
        this ISpeechEngine engine,
        string text,
        Voice? voice = null,
        SamplingOptions? sampling = null,
        string? language = null,
        string client = "",
        IProgress<double>? progress = null,
        TextOptions? textOptions = null,
        CancellationToken cancellationToken = default
    )
    {
        var plan = TextPlan.Of(text, form: new SpokenForm(textOptions ?? new(), language));
        var speech = new JoinedSpeech(plan);
        var samples = new List<float>();
        await foreach (
            var chunk in Chunks(engine, RequestFor(plan, voice, sampling, language, client), cancellationToken).ConfigureAwait(false)
        )
        {
            samples.AddRange(speech.Join(chunk));
            if (chunk.EndsPiece)
            {
                progress?.Report((chunk.Piece + 1.0) / plan.Pieces.Count);
            }
        }

        return new SpokenText(samples.ToArray(), speech.TextTokens, speech.SpeechTokens)
        {
            Pieces = plan.Written,
            Times = speech.Times,
            Repairs = speech.Repairs,
            UnknownCharacters = speech.UnknownCharacters,
        };
    }

    /// <summary>Generates the speech of a text of any length chunk by chunk: it is split into sentences, which are joined with
    /// pauses.</summary>
    /// <param name="engine">The engine.</param>
    /// <param name="text">The text; <c>[pause:1.5s]</c> is a pause.</param>
    /// <param name="voice">The voice; null for the model's own.</param>
    /// <param name="sampling">How speech tokens are chosen; null for the model's defaults.</param>
    /// <param name="language">Language code for models that speak several; null lets the model decide.</param>
    /// <param name="client">As <see cref="EngineRequest.Client"/>.</param>
    /// <param name="textOptions">How the text becomes what is spoken; null speaks it as it is written.</param>
    /// <param name="cancellationToken">Gives the rest up, as leaving the enumeration does.</param>
    /// <returns>Chunks whose samples follow each other without a gap.</returns>
    /// <inheritdoc cref="StreamAsync(ISpeechEngine, SpeechRequest, CancellationToken)" path="/exception"/>
    public static async IAsyncEnumerable<AudioChunk> StreamAsync(
        this ISpeechEngine engine,
        string text,
        Voice? voice = null,
        SamplingOptions? sampling = null,
        string? language = null,
        string client = "",
        TextOptions? textOptions = null,
        [EnumeratorCancellation] CancellationToken cancellationToken = default
    )
    {
        var plan = TextPlan.Of(text, form: new SpokenForm(textOptions ?? new(), language));
        var speech = new JoinedSpeech(plan);
        await foreach (
            var chunk in engine.StreamAsync(RequestFor(plan, voice, sampling, language, client), cancellationToken).ConfigureAwait(false)
        )
        {
            yield return chunk with
            {
                Samples = speech.Join(chunk),
            };
        }
    }

    /// <summary>Generates a request's speech chunk by chunk, its pieces as they are: neither split nor joined with pauses.</summary>
    /// <param name="engine">The engine.</param>
    /// <param name="request">The pieces of text; where it says nothing of chunks, they are cut as <see cref="ChunkOptions"/> does by
    /// default.</param>
    /// <param name="cancellationToken">Gives the rest up, as leaving the enumeration does.</param>
    /// <exception cref="EngineBusyException">The queue is full.</exception>
    /// <exception cref="UnavailableException">The engine is stopping, its model could not be loaded, or the request took too
    /// long.</exception>
    /// <exception cref="RequestException">The text or a setting cannot be used.</exception>
    /// <exception cref="VoiceException">The voice does not fit the model.</exception>
    /// <exception cref="InvalidOutputException">A stage's output is not finite.</exception>
    /// <exception cref="ModelFailedException">The model failed, such as after a GPU fault.</exception>
    public static IAsyncEnumerable<AudioChunk> StreamAsync(
        this ISpeechEngine engine,
        SpeechRequest request,
        CancellationToken cancellationToken = default
    ) => Chunks(engine, request with { Chunks = request.Chunks ?? new() }, cancellationToken);

    private static SpeechRequest RequestFor(TextPlan plan, Voice? voice, SamplingOptions? sampling, string? language, string client) =>
        new()
        {
            Pieces = plan.Pieces,
            Voice = voice,
            Sampling = sampling ?? new(),
            Language = language,
            Client = client,
        };

    private static async IAsyncEnumerable<AudioChunk> Chunks(
        ISpeechEngine engine,
        SpeechRequest request,
        [EnumeratorCancellation] CancellationToken cancellationToken
    )
    {
        using var left = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        try
        {
            var job = engine.Submit(request, left.Token);
            await foreach (var happened in job.Events.ConfigureAwait(false))
            {
                if (happened is PieceFailed failed)
                {
                    ExceptionDispatchInfo.Throw(failed.Error);
                }

                yield return (AudioChunk)happened;
            }
        }
        finally
        {
            await left.CancelAsync().ConfigureAwait(false);
        }
    }
}
