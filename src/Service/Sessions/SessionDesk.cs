using Chatterbox.Audio;
using Chatterbox.Service.Hosting;
using Chatterbox.Service.Models;
using Chatterbox.Service.OpenAi;
using Chatterbox.Service.Streaming;
using Microsoft.Extensions.Options;

namespace Chatterbox.Service.Sessions;

/// <summary>Bounds the sessions, of all clients and of one.</summary>
internal sealed class SessionGate(IOptions<StreamingOptions> options) : ClientGate(options.Value.MaxSessions);

/// <summary>What every session takes to speak, in whatever dialect, and where it begins.</summary>
internal sealed class SessionDesk(
    ModelFleet fleet,
    ModelNames models,
    VoiceNames voices,
    SpokenForms forms,
    SpeechDesk speech,
    RequestRate rate,
    AudioCodecs codecs,
    EncoderGate encoders,
    SessionGate gate,
    ServiceMetrics metrics,
    IOptions<StreamingOptions> options,
    IOptions<ServiceOptions> service,
    TimeProvider time,
    IHostApplicationLifetime lifetime,
    ILogger<SessionDesk> logger
)
{
    /// <summary>The models.</summary>
    public ModelFleet Fleet => fleet;

    /// <summary>Their names.</summary>
    public ModelNames Models => models;

    /// <summary>The voices.</summary>
    public VoiceNames Voices => voices;

    /// <summary>What is spoken of their texts.</summary>
    public SpokenForms Forms => forms;

    /// <summary>Takes the sentences.</summary>
    public SpeechDesk Speech => speech;

    /// <summary>Counts them.</summary>
    public RequestRate Rate => rate;

    /// <summary>Encodes them.</summary>
    public AudioCodecs Codecs => codecs;

    /// <summary>Places of encoders.</summary>
    public EncoderGate Encoders => encoders;

    /// <summary>Limits of a session, and how its sentences are cut.</summary>
    public StreamingOptions Options => options.Value;

    /// <summary>The clock.</summary>
    public TimeProvider Time => time;

    /// <summary>Set when the service stops; the sentence that a session speaks then is its last.</summary>
    public CancellationToken Stopping => lifetime.ApplicationStopping;

    /// <summary>Told what fails.</summary>
    public ILogger Logger => logger;

    /// <summary>Time in which a message that is sent must be taken by the client.</summary>
    public TimeSpan LongestSending => TimeSpan.FromSeconds(service.Value.SlowReaderSeconds);

    /// <summary>Serves a session over the WebSocket of a request.</summary>
    /// <param name="http">The request.</param>
    /// <param name="instead">What a client without a WebSocket can do.</param>
    /// <param name="begin">Makes the dialect of the session.</param>
    /// <exception cref="RefusedException">It is no WebSocket, or there is no place for it.</exception>
    public async Task ServeAsync(HttpContext http, string instead, Func<SocketSession, SessionDialect> begin)
    {
        if (!http.WebSockets.IsWebSocketRequest)
        {
            throw new RefusedException(
                new Refusal(StatusCodes.Status426UpgradeRequired, $"This route is a WebSocket. {instead}", Code: "upgrade_required")
            );
        }

        using var place = Enter(Clients.Of(http));
        using var socket = new SessionSocket(
            await http.WebSockets.AcceptWebSocketAsync(http.WebSockets.WebSocketRequestedProtocols.FirstOrDefault()),
            Options.MaxMessageBytes,
            LongestSending,
            http.RequestAborted
        );
        var session = new SocketSession(socket, this, Caller.Of(http), http.RequestAborted);
        await using var dialect = begin(session);
        await session.RunAsync(dialect);
    }

    /// <summary>Takes the place of a session, until it is disposed.</summary>
    /// <exception cref="RefusedException">There is none for this client.</exception>
    public IDisposable Enter(string client) =>
        new Place(
            gate.TryEnter(client)
                ?? throw new RefusedException(
                    new Refusal(
                        StatusCodes.Status429TooManyRequests,
                        "The service has as many sessions as it can take, or as one client may have. Close one, or try again later.",
                        Code: "too_many_sessions",
                        RetryAfter: TimeSpan.FromSeconds(5)
                    )
                ),
            metrics
        );

    private sealed class Place : IDisposable
    {
        private readonly IDisposable _place;
        private readonly ServiceMetrics _metrics;

        public Place(IDisposable place, ServiceMetrics metrics)
        {
            (_place, _metrics) = (place, metrics);
            _metrics.SessionsChanged(1);
        }

        public void Dispose()
        {
            _place.Dispose();
            _metrics.SessionsChanged(-1);
        }
    }
}
