using System.Text.Json;

namespace Chatterbox.Service.Tests;

/// <summary>Interruptions in every dialect with a WebSocket, while some chunks are on their way: once one is answered, no more audio of its
/// turn comes.</summary>
public sealed class InterruptionTests
{
    private const int Turns = 25;
    private const string Long = "This is interrupted somewhere in the middle, and nobody knows where that is.";
    private const string Next = "This is heard.";

    [Fact]
    public Task Of_ElevenLabs() =>
        Check(
            "/v1/text-to-speech/default/multi-stream-input?output_format=pcm_24000",
            [],
            (text, turn) => [$$"""{"text":"{{text}} ","context_id":"{{turn}}","flush":true}"""],
            turn => $$"""{"context_id":"{{turn}}","close_context":true}""",
            (told, turn) =>
                told.TryGetProperty("isFinal", out var isFinal)
                && isFinal.ValueKind == JsonValueKind.True
                && told.GetProperty("contextId").GetString() == turn,
            turn => [$$"""{"text":"","context_id":"{{turn}}","flush":true}""", $$"""{"context_id":"{{turn}}","close_context":true}"""]
        );

    [Fact]
    public Task Of_Deepgram() =>
        Check(
            "/v1/speak?encoding=linear16&sample_rate=24000",
            [],
            (text, _) => [$$"""{"type":"Speak","text":"{{text}}"}""", """{"type":"Flush"}"""],
            _ => """{"type":"Clear"}""",
            (told, turn) => IsType(told, turn.StartsWith("heard", StringComparison.Ordinal) ? "Flushed" : "Cleared"),
            _ => []
        );

    [Fact]
    public Task Of_the_services_own_session() =>
        Check(
            "/v1/audio/speech/stream",
            ["""{"type":"session"}"""],
            (text, _) => [$$"""{"type":"text","text":"{{text}}"}""", """{"type":"flush"}"""],
            _ => """{"type":"cancel"}""",
            (told, turn) => IsType(told, turn.StartsWith("heard", StringComparison.Ordinal) ? "flushed" : "cancelled"),
            _ => []
        );

    [Fact]
    public Task Of_vLLM_Omni() =>
        Check(
            "/v1/audio/speech/stream",
            ["""{"type":"session.config","voice":"default","response_format":"pcm","stream_audio":true}"""],
            (text, _) => [$$"""{"type":"input.text","text":"{{text}}"}""", """{"type":"input.done"}"""],
            _ => """{"type":"input.cancel"}""",
            (told, _) => IsType(told, "session.done"),
            _ => []
        );

    /// <param name="path">Address of the WebSocket.</param>
    /// <param name="begin">Its first messages.</param>
    /// <param name="say">Speaks a text as a turn of this name, up to a flush.</param>
    /// <param name="interrupt">Interrupts a turn.</param>
    /// <param name="isEnd">Whether a message ends a turn.</param>
    /// <param name="end">Ends a turn that is heard to its end.</param>
    private static async Task Check(
        string path,
        string[] begin,
        Func<string, string, string[]> say,
        Func<string, string> interrupt,
        Func<JsonElement, string, bool> isEnd,
        Func<string, string[]> end
    )
    {
        await using var service = await TestService.Start();
        (service.Model.ChunkSamples, service.Model.Holds) = (480, true);
        await using var client = await SocketClient.Connect(service, path);
        await Send(client, begin);
        for (var turn = 0; turn < Turns; turn++)
        {
            var spoken = service.Model.Calls.Count;
            service.Model.LetGo(8 + (turn % 7)); // more than are waited for, and fewer than there are
            await Send(client, say(Long, $"cut {turn}"));
            for (var heard = 0; heard < 1 + (turn % 5); )
            {
                heard += Audio(await client.Next()) > 0 ? 1 : 0;
            }

            await client.Send(interrupt($"cut {turn}"));
            await client.UpTo(told => isEnd(told, $"cut {turn}"));
            Assert.Equal(spoken + 1, service.Model.Calls.Count);

            service.Model.LetGo(1000);

            // All audio from here on is of the next turn, to the byte.
            await Send(client, [.. say(Next, $"heard {turn}"), .. end($"heard {turn}")]);
            var told = await client.UpTo(told => isEnd(told, $"heard {turn}"));
            var call = service.Model.Calls.Last();
            Assert.Equal(Next, call.Text);
            Assert.Equal(2 * FakeModel.Tone(Next, call.Voice, call.Sampling).Length, told.Sum(message => Audio(message)));
            service.Model.HoldAgain();
        }
    }

    private static async Task Send(SocketClient client, string[] messages)
    {
        foreach (var message in messages)
        {
            await client.Send(message);
        }
    }

    private static int Audio((JsonElement Json, byte[] Bytes)? message) =>
        message is not var (json, bytes) ? throw new InvalidOperationException("The connection was closed.")
        : json.ValueKind == JsonValueKind.Undefined ? bytes.Length
        : json.TryGetProperty("audio", out var audio) && audio.ValueKind == JsonValueKind.String ? audio.GetBytesFromBase64().Length
        : 0;

    private static bool IsType(JsonElement told, string type) => told.TryGetProperty("type", out var named) && named.GetString() == type;
}
