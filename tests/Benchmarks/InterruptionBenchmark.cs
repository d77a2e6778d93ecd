using System.Diagnostics;
using System.Net.WebSockets;
using System.Text;
using System.Text.Json;
using static Chatterbox.Benchmarks.Report;

namespace Chatterbox.Benchmarks;

/// <summary>How long audio still arrives after a client has interrupted: from its message to the last byte of audio before the answer, over
/// loopback, in each dialect with a WebSocket.</summary>
internal static class InterruptionBenchmark
{
    private const int Interruptions = 200;
    private const int WarmUp = 10;
    private const int LatestInterruptionMs = 60; // after the first audio
    private const string Text =
        "The quick brown fox jumps over the lazy dog and then goes on to run through the wood for the rest of the day.";

    private static readonly Dialect[] Dialects =
    [
        new(
            "close_context (ElevenLabs)",
            "/v1/text-to-speech/default/multi-stream-input?output_format=pcm_24000",
            "",
            turn =>
                [
                    Json(
                        new
                        {
                            text = Text + " ",
                            context_id = $"{turn}",
                            flush = true,
                        }
                    ),
                ],
            turn => Json(new { context_id = $"{turn}", close_context = true }),
            (told, turn) =>
                told.TryGetProperty("isFinal", out var isFinal)
                && isFinal.ValueKind == JsonValueKind.True
                && told.GetProperty("contextId").GetString() == $"{turn}"
        ),
        new(
            "Clear (Deepgram)",
            "/v1/speak?encoding=linear16&sample_rate=24000",
            "",
            _ => [Json(new { type = "Speak", text = Text }), Json(new { type = "Flush" })],
            _ => Json(new { type = "Clear" }),
            (told, _) => TypeOf(told) == "Cleared"
        ),
        new(
            "cancel (this service's own)",
            "/v1/audio/speech/stream",
            Json(new { type = "session" }),
            _ => [Json(new { type = "text", text = Text }), Json(new { type = "flush" })],
            _ => Json(new { type = "cancel" }),
            (told, _) => TypeOf(told) == "cancelled"
        ),
        new(
            "input.cancel (vLLM-Omni)",
            "/v1/audio/speech/stream",
            Json(
                new
                {
                    type = "session.config",
                    voice = "default",
                    response_format = "pcm",
                    stream_audio = true,
                }
            ),
            _ => [Json(new { type = "input.text", text = Text }), Json(new { type = "input.done" })],
            _ => Json(new { type = "input.cancel" }),
            (told, _) => TypeOf(told) == "session.done"
        ),
    ];

    /// <param name="model">What <c>--model</c> of the service takes: a name, or a folder with a checkpoint.</param>
    /// <param name="device">Where; null for the best there is.</param>
    public static async Task Run(string model, string? device)
    {
        var folder = Directory.CreateTempSubdirectory("chatterbox-benchmark-");
        await using (var service = await ServiceProcess.Start("stream-host", model, device ?? ModelOptions.BestDevice(), folder.FullName))
        {
            await service.UntilReady();
            Print($"{model}: ms from the interruption to the last byte of audio, and to its answer; {Interruptions} each");
            foreach (var dialect in Dialects)
            {
                await Measure(service.Address, dialect);
            }
        }

        folder.Delete(recursive: true);
    }

    private static async Task Measure(Uri address, Dialect dialect)
    {
        using var socket = new ClientWebSocket();
        await socket.ConnectAsync(new Uri($"ws://{address.Authority}{dialect.Path}"), CancellationToken.None);
        await Send(socket, dialect.Begin);
        var random = new Random(1);
        var (lasts, answers) = (new List<double>(), new List<double>());
        for (var turn = 0; turn < WarmUp + Interruptions; turn++)
        {
            foreach (var message in dialect.Say(turn))
            {
                await Send(socket, message);
            }

            while (!IsAudio(await Receive(socket))) { }

            var hearing = HearToTheEnd(socket, told => dialect.IsAnswer(told, turn));
            await Task.Delay(random.Next(LatestInterruptionMs));
            var interrupted = Stopwatch.GetTimestamp();
            await Send(socket, dialect.Interrupt(turn));
            var (last, answer) = await hearing;
            if (turn >= WarmUp)
            {
                lasts.Add(Math.Max(0, Stopwatch.GetElapsedTime(interrupted, last).TotalMilliseconds));
                answers.Add(Stopwatch.GetElapsedTime(interrupted, answer).TotalMilliseconds);
            }
        }

        Print(
            $"{dialect.Name}: last audio p50 {At(lasts, 0.5):0.0}, p95 {At(lasts, 0.95):0.0}, max {lasts.Max():0.0}; answer p50 {At(answers, 0.5):0.0}, p95 {At(answers, 0.95):0.0}, max {answers.Max():0.0}"
        );
        await socket.CloseAsync(WebSocketCloseStatus.NormalClosure, "", CancellationToken.None);
    }

    /// <summary>Listens until the interruption is answered.</summary>
    /// <returns>When the last audio came, and the answer.</returns>
    private static async Task<(long Last, long Answer)> HearToTheEnd(ClientWebSocket socket, Func<JsonElement, bool> isAnswer)
    {
        var last = 0L;
        while (true)
        {
            var message = await Receive(socket);
            if (IsAudio(message))
            {
                last = Stopwatch.GetTimestamp();
            }
            else if (isAnswer(message.Told))
            {
                return (last, Stopwatch.GetTimestamp());
            }
        }
    }

    private static bool IsAudio((JsonElement Told, bool IsText) message) =>
        !message.IsText || (message.Told.TryGetProperty("audio", out var audio) && audio.ValueKind == JsonValueKind.String);

    private static Task Send(ClientWebSocket socket, string message) =>
        message.Length == 0
            ? Task.CompletedTask
            : socket.SendAsync(Encoding.UTF8.GetBytes(message), WebSocketMessageType.Text, endOfMessage: true, CancellationToken.None);

    private static async Task<(JsonElement Told, bool IsText)> Receive(ClientWebSocket socket)
    {
        using var message = new MemoryStream();
        var buffer = new byte[1 << 16];
        while (true)
        {
            var part = await socket.ReceiveAsync(buffer, CancellationToken.None);
            message.Write(buffer, 0, part.Count);
            if (part.MessageType == WebSocketMessageType.Close)
            {
                throw new InvalidOperationException($"The service closed the connection: {socket.CloseStatusDescription}");
            }

            if (part.EndOfMessage)
            {
                return part.MessageType == WebSocketMessageType.Text
                    ? (JsonDocument.Parse(message.ToArray()).RootElement, true)
                    : (default, false);
            }
        }
    }

    private static double At(IEnumerable<double> values, double part) => values.Order().ElementAt((int)(part * (Interruptions - 1)));

    private static string Json<T>(T message) => JsonSerializer.Serialize(message);

    private static string? TypeOf(JsonElement told) => told.TryGetProperty("type", out var type) ? type.GetString() : null;

    /// <summary>How a dialect is spoken.</summary>
    /// <param name="Name">The interruption.</param>
    /// <param name="Path">Its address.</param>
    /// <param name="Begin">The first message; empty for none.</param>
    /// <param name="Say">Begins a turn.</param>
    /// <param name="Interrupt">Ends it.</param>
    /// <param name="IsAnswer">Whether a message answers the interruption.</param>
    private sealed record Dialect(
        string Name,
        string Path,
        string Begin,
        Func<int, IReadOnlyList<string>> Say,
        Func<int, string> Interrupt,
        Func<JsonElement, int, bool> IsAnswer
    );
}
