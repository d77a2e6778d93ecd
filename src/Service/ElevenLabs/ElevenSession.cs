using System.Collections.Concurrent;
using System.Globalization;
using System.Net.WebSockets;
using System.Text.Json;
using Chatterbox.Audio;
using Chatterbox.Service.Hosting;
using Chatterbox.Service.Models;
using Chatterbox.Service.OpenAi;
using Chatterbox.Service.Sessions;

namespace Chatterbox.Service.ElevenLabs;

/// <summary>What a connection was asked for in its address.</summary>
/// <param name="Voice">Name of the voice.</param>
/// <param name="Model">Who speaks.</param>
/// <param name="Format">The form of the audio.</param>
/// <param name="Language">Code of the language.</param>
/// <param name="Seed">The same seed gives the same speech.</param>
internal sealed record ElevenConnection(string Voice, FleetModel Model, AudioFormat Format, string? Language, long? Seed)
{
    private const double MostIdleSeconds = 180;

    /// <summary>Seconds without messages after which it is closed; null for the service's own.</summary>
    public double? IdleSeconds { get; init; }

    /// <summary>Whether its texts are written out; null leaves it to the settings.</summary>
    public bool? Normalize { get; init; }

    /// <summary>Reads an address.</summary>
    public static ElevenConnection Of(HttpContext http, string voice, ModelFleet fleet, AudioCodecs codecs)
    {
        var query = http.Request.Query;
        return new(
            voice,
            ElevenSpeech.Model(fleet, query["model_id"]),
            ElevenSpeech.Format(query["output_format"], codecs),
            query["language_code"],
            SeedOf(query["seed"])
        )
        {
            IdleSeconds = IdleOf(query["inactivity_timeout"]),
            Normalize = ElevenSpeech.Normalization(query["apply_text_normalization"]),
        };
    }

    private static long? SeedOf(string? text) =>
        text is null ? null
        : long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var seed) ? seed
        : throw OpenAiErrors.Invalid("seed", "'seed' must be a whole number.");

    private static double? IdleOf(string? text) =>
        text is null ? null
        : double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var seconds) && seconds is > 0 and <= MostIdleSeconds
            ? seconds
        : throw OpenAiErrors.Invalid(
            "inactivity_timeout",
            string.Create(CultureInfo.InvariantCulture, $"'inactivity_timeout' must be above 0 and at most {MostIdleSeconds} seconds.")
        );
}

/// <summary>ElevenLabs' dialect of a session: one text, or several at once by their <c>context_id</c>.</summary>
internal sealed class ElevenSession : SessionDialect
{
    private const int MostContexts = 16;
    private const string UnnamedContext = "default";

    private readonly SocketSession _session;
    private readonly ElevenConnection _connection;
    private readonly string _route;
    private readonly bool _hasContexts;
    private readonly ApiKeys _keys;
    private readonly ConcurrentDictionary<string, ElevenContext> _contexts = new();
    private bool _isKnown; // who it is

    /// <param name="session">The connection.</param>
    /// <param name="connection">What it was asked for.</param>
    /// <param name="route">The route's name in the log and in measurements.</param>
    /// <param name="hasContexts">Whether there are several texts.</param>
    /// <param name="keys">Keys, one of which the first message must have where the request had none.</param>
    /// <param name="isKnown">Whether the request had one, or none is needed.</param>
    public ElevenSession(SocketSession session, ElevenConnection connection, string route, bool hasContexts, ApiKeys keys, bool isKnown)
    {
        (_session, _connection, _route, _hasContexts, _keys, _isKnown) = (session, connection, route, hasContexts, keys, isKnown);
        if (connection.IdleSeconds is { } seconds)
        {
            session.LongestIdle = TimeSpan.FromSeconds(seconds);
        }
    }

    /// <inheritdoc/>
    public override bool IsIdle => _contexts.Values.All(context => context.Speaker.IsIdle);

    /// <inheritdoc/>
    public override async Task TakeAsync(JsonElement json)
    {
        var message = Read<ElevenMessage>(json);
        if (!_isKnown && !await Know(message.XiApiKey))
        {
            return;
        }

        var id = _hasContexts ? message.ContextId ?? UnnamedContext : "";
        var context = _contexts.GetValueOrDefault(id);
        if (message.CloseSocket == true)
        {
            _session.End(new(WebSocketCloseStatus.NormalClosure, ""));
        }
        else if (message.CloseContext == true)
        {
            await Close(id, context);
        }
        else if (message is { Text: "", Flush: not true } && _hasContexts)
        {
            // It keeps the connection alive.
        }
        else if (message is { Text: "", Flush: not true })
        {
            var text =
                context
                ?? throw OpenAiErrors.Invalid(
                    "text",
                    "There is no text yet. Send {\"text\":\" \"} first, then the text, then {\"text\":\"\"}."
                );
            text.Speaker.End();
        }
        else
        {
            Hear(context ?? await Open(id, message.VoiceSettings), message);
        }
    }

    /// <inheritdoc/>
    public override Task TellAsync(Refusal refusal) =>
        _session.Socket.SendAsync<ElevenEvent>(() => new ElevenFailure(refusal.Code ?? "error", refusal.Message));

    /// <inheritdoc/>
    public override async ValueTask DisposeAsync()
    {
        foreach (var context in _contexts.Values)
        {
            await context.DisposeAsync();
        }
    }

    private async Task<bool> Know(string? key)
    {
        if (_keys.HolderOf(key ?? "") is { } holder)
        {
            _session.Caller = _session.Caller with { Client = holder };
            return _isKnown = true;
        }

        await TellAsync(
            new(
                401,
                "This service asks for a key. Send the header 'xi-api-key: KEY', or 'xi_api_key' in the first message.",
                Code: "invalid_api_key"
            )
        );
        _session.End(new(WebSocketCloseStatus.PolicyViolation, "This service asks for a key."));
        return false;
    }

    private static void Hear(ElevenContext context, ElevenMessage message)
    {
        var hasText = !string.IsNullOrWhiteSpace(message.Text);
        if (hasText)
        {
            context.Speaker.Write(message.Text!);
        }

        if (message.Flush == true)
        {
            context.Speaker.Flush();
        }

        context.IsComplete = message.Flush == true && !hasText;
    }

    private async Task<ElevenContext> Open(string id, ElevenVoiceSettings? settings)
    {
        if (_contexts.Count >= MostContexts)
        {
            throw new RefusedException(
                new Refusal(
                    StatusCodes.Status429TooManyRequests,
                    $"A connection can have {MostContexts} contexts at once. Close one first.",
                    "context_id",
                    "too_many_contexts"
                )
            );
        }

        var context = new ElevenContext(_session, _route, _hasContexts ? id : null, ending => OnEnd(id, ending));
        try
        {
            var body = ElevenSpeech.Body(
                _connection.Model,
                _connection.Voice,
                "",
                settings,
                _connection.Language,
                _connection.Seed,
                _connection.Normalize
            );
            await context.Speaker.SetUpAsync(_connection.Model, body, _connection.Format, AudioStreams.Continued, _session.Gone);
        }
        catch
        {
            await context.DisposeAsync();
            throw;
        }

        return _contexts[id] = context;
    }

    /// <summary>Ends a text. Agents close each: where all of it was flushed just before, they wait for the rest of its audio; otherwise,
    /// and
    /// the second time, they have been interrupted and want no more of it.</summary>
    private async Task Close(string id, ElevenContext? context)
    {
        if (context is null)
        {
            await _session.Socket.SendAsync<ElevenEvent>(() => new ElevenFinal(id)); // it is over, or never was
        }
        else if (context is { IsComplete: true, Speaker.IsEnding: false })
        {
            context.Speaker.End();
        }
        else
        {
            await context.Speaker.CancelAsync();
            Forget(id);
        }
    }

    private void OnEnd(string id, Ending ending)
    {
        Forget(id);
        if (!_hasContexts || ending.Status != WebSocketCloseStatus.NormalClosure)
        {
            _session.End(ending);
        }
    }

    private void Forget(string id)
    {
        if (_contexts.TryRemove(id, out var context))
        {
            _ = context.DisposeAsync().AsTask(); // it waits for who calls this
        }
    }
}
