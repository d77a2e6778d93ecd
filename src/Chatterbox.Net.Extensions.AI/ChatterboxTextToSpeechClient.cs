using System.Globalization;
using System.Runtime.CompilerServices;
using Chatterbox.Audio;
using Chatterbox.Engine;
using Chatterbox.Text;
using Microsoft.Extensions.AI;

namespace Chatterbox.Extensions.AI;

/// <summary>Text-to-speech of Microsoft.Extensions.AI by an engine in this process.</summary>
/// <remarks>
/// A text may have any length. Of <see cref="TextToSpeechOptions"/>, <c>ModelId</c>, <c>VoiceId</c>, <c>Language</c>, <c>AudioFormat</c>
/// and
/// <c>Speed</c> are used. <c>AdditionalProperties</c> are settings of <see cref="SamplingOptions"/>, such as <c>exaggeration</c>,
/// <c>cfg_weight</c> or
/// <c>seed</c>; <c>RawRepresentationFactory</c> may return all of them at once. Everything else is refused. Requests may run concurrently.
/// </remarks>
/// <example><code>
/// await using var engine = new SpeechEngine(await ChatterboxModel.LoadAsync("nano"));
/// using var client = new ChatterboxTextToSpeechClient(engine);
/// var response = await client.GetAudioAsync("Hello there.", new() { AudioFormat = "mp3" });
/// </code></example>
public sealed class ChatterboxTextToSpeechClient : ITextToSpeechClient
{
    private const float LowestSpeed = 0.25f,
        HighestSpeed = 4;

    private readonly ISpeechEngine _engine;
    private readonly ChatterboxTextToSpeechOptions _options;
    private readonly TextToSpeechClientMetadata _metadata;
    private readonly AudioCodecs _codecs = new();

    /// <summary>Creates a client.</summary>
    /// <param name="engine">The engine; it stays the caller's, who disposes it after the client.</param>
    /// <param name="options">Defaults and voices; null for the model's own voice as WAV.</param>
    public ChatterboxTextToSpeechClient(ISpeechEngine engine, ChatterboxTextToSpeechOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(engine);
        (_engine, _options) = (engine, options ?? new());
        _metadata = new TextToSpeechClientMetadata("chatterbox", providerUri: null, _options.ModelId);
    }

    /// <summary>Generates the speech of a text, as one whole file.</summary>
    /// <param name="text">The text; <c>[pause:1.5s]</c> is a pause.</param>
    /// <param name="options">Settings of the request; null for the client's.</param>
    /// <param name="cancellationToken">Gives the request up.</param>
    /// <returns>The audio, and the seed in <c>AdditionalProperties</c>.</returns>
    /// <exception cref="RequestException">The text or a setting cannot be used.</exception>
    /// <exception cref="EngineBusyException">The engine's queue is full.</exception>
    /// <exception cref="ChatterboxException">The speech could not be generated or encoded.</exception>
    public async Task<TextToSpeechResponse> GetAudioAsync(
        string text,
        TextToSpeechOptions? options = null,
        CancellationToken cancellationToken = default
    )
    {
        using var left = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        try
        {
            var speech = Begin(text, options, chunks: null, left.Token);
            await using var file = speech.Encode(true).GetAsyncEnumerator(left.Token);
            return !await file.MoveNextAsync().ConfigureAwait(false)
                ? throw new EncoderException("The encoder returned no audio. Choose another format, such as wav.")
                : new TextToSpeechResponse([new DataContent(file.Current.ToArray(), speech.Format.ContentType)])
                {
                    ResponseId = speech.Id,
                    ModelId = _options.ModelId,
                    Usage = speech.Usage,
                    AdditionalProperties = speech.Properties,
                };
        }
        finally
        {
            await left.CancelAsync().ConfigureAwait(false);
        }
    }

    /// <summary>Generates the speech of a text, and returns its bytes as they are generated.</summary>
    /// <param name="text">The text; <c>[pause:1.5s]</c> is a pause.</param>
    /// <param name="options">Settings of the request; null for the client's.</param>
    /// <param name="cancellationToken">Gives the rest up, as leaving the enumeration does.</param>
    /// <returns>Updates whose audio follows without a gap, then one with the usage.</returns>
    /// <exception cref="RequestException">The text or a setting cannot be used.</exception>
    /// <exception cref="EngineBusyException">The engine's queue is full.</exception>
    /// <exception cref="ChatterboxException">The speech could not be generated or encoded.</exception>
    public async IAsyncEnumerable<TextToSpeechResponseUpdate> GetStreamingAudioAsync(
        string text,
        TextToSpeechOptions? options = null,
        [EnumeratorCancellation] CancellationToken cancellationToken = default
    )
    {
        using var left = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        try
        {
            var speech = Begin(text, options, _options.Chunks, left.Token);
            await foreach (var bytes in speech.Encode(false).ConfigureAwait(false))
            {
                yield return Update(
                    speech,
                    TextToSpeechResponseUpdateKind.AudioUpdating,
                    new DataContent(bytes.ToArray(), speech.Format.ContentType)
                );
            }

            yield return Update(speech, TextToSpeechResponseUpdateKind.SessionClose, new UsageContent(speech.Usage));
        }
        finally
        {
            await left.CancelAsync().ConfigureAwait(false);
        }
    }

    /// <inheritdoc/>
    public object? GetService(Type serviceType, object? serviceKey = null)
    {
        ArgumentNullException.ThrowIfNull(serviceType);
        return serviceKey is not null ? null
            : serviceType == typeof(TextToSpeechClientMetadata) ? _metadata
            : serviceType.IsInstanceOfType(this) ? this
            : serviceType.IsInstanceOfType(_engine) ? _engine
            : null;
    }

    /// <summary>Frees the encoders; the engine stays.</summary>
    public void Dispose() => _codecs.Dispose();

    private TextToSpeechResponseUpdate Update(Speech speech, TextToSpeechResponseUpdateKind kind, AIContent content) =>
        new([content])
        {
            Kind = kind,
            ResponseId = speech.Id,
            ModelId = _options.ModelId,
            AdditionalProperties = speech.Properties,
        };

    private Speech Begin(string text, TextToSpeechOptions? options, ChunkOptions? chunks, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(text);
        options ??= new();
        Check(options);
        var format = SpeechFormats.Find(options.AudioFormat ?? _options.AudioFormat);
        _codecs.ThrowIfUnsupported(format);
        var sampling = SamplingProperties.Read(options, _options.Sampling, this);
        sampling = sampling with { Seed = sampling.Seed ?? Random.Shared.NextInt64() };
        var language = options.Language?.Split('-')[0].ToLowerInvariant(); // of a tag such as fr-CA, the language
        var plan = TextPlan.Of(text, form: new SpokenForm(_options.Text, language));
        var request = new SpeechRequest
        {
            Pieces = plan.Pieces,
            Voice = FindVoice(options.VoiceId),
            Language = language,
            Sampling = sampling,
            Chunks = chunks,
        };
        var (joined, job) = (new JoinedSpeech(plan), _engine.Submit(request, cancellationToken));
        return new Speech(
            joined,
            format,
            sampling.Seed.Value,
            isWhole =>
                _codecs.Encode(
                    joined.Blocks(job.Events, cancellationToken),
                    format,
                    options.Speed ?? 1,
                    job.Begun,
                    isWhole,
                    cancellationToken
                )
        );
    }

    private void Check(TextToSpeechOptions options)
    {
        if (options.ModelId is { } model && model != _options.ModelId)
        {
            throw new RequestException(
                $"There is no model '{model}' in this client: it has '{_options.ModelId}'. Leave the model out, or use the client of "
                    + $"that model.",
                nameof(options.ModelId)
            );
        }

        if (options.Speed is not (null or (>= LowestSpeed and <= HighestSpeed)))
        {
            throw new RequestException(
                string.Create(CultureInfo.InvariantCulture, $"Speed is {options.Speed}; it must be from {LowestSpeed} to {HighestSpeed}."),
                nameof(options.Speed)
            );
        }

        ThrowIfChanged(options.Pitch, nameof(options.Pitch));
        ThrowIfChanged(options.Volume, nameof(options.Volume));
    }

    private static void ThrowIfChanged(float? value, string name)
    {
        if (value is not (null or 1))
        {
            throw new RequestException($"{name} cannot be changed. Leave it out.", name);
        }
    }

    private Voice? FindVoice(string? id) =>
        id is null ? null
        : _options.Voices.TryGetValue(id, out var voice) ? voice
        : throw new RequestException(
            $"There is no voice '{id}'. "
                + $"{(_options.Voices.Count == 0 ? "No voice has an id here" : $"Choose one of {string.Join(", ", _options.Voices.Keys)}")}, or leave it out for the model's own.",
            nameof(TextToSpeechOptions.VoiceId)
        );

    /// <summary>Speech of a request; encoded once, as one whole file (true) or as it is generated.</summary>
    private sealed record Speech(
        JoinedSpeech Joined,
        AudioFormat Format,
        long Seed,
        Func<bool, IAsyncEnumerable<ReadOnlyMemory<byte>>> Encode
    )
    {
        public string Id { get; } = Guid.NewGuid().ToString("N");

        public AdditionalPropertiesDictionary Properties => new() { ["seed"] = Seed };

        public UsageDetails Usage =>
            new()
            {
                InputTokenCount = Joined.TextTokens,
                OutputTokenCount = Joined.SpeechTokens,
                TotalTokenCount = Joined.TextTokens + Joined.SpeechTokens,
            };
    }
}
