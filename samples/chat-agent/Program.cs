// An agent whose answer is spoken while it is being written.  dotnet run -- MODEL OUTPUT.pcm
#pragma warning disable MEAI001 // text-to-speech clients are marked as experimental
using Chatterbox;
using Chatterbox.Engine;
using Chatterbox.Extensions.AI;
using Chatterbox.Text;
using Microsoft.Extensions.AI;

await using var engine = new SpeechEngine(await ChatterboxModel.LoadAsync(args[0]));
using ITextToSpeechClient voice = new ChatterboxTextToSpeechClient(engine, new() { ModelId = args[0], AudioFormat = "pcm" });
using IChatClient agent = new ScriptedChatClient();        // any chat client of Microsoft.Extensions.AI
await using var player = File.Create(args[1]);

var buffer = new SentenceBuffer();
await foreach (var update in agent.GetStreamingResponseAsync("What is a watermark?"))
{
    buffer.Add(update.Text);
    while (buffer.TakeSentence() is { } sentence)
    {
        await SayAsync(sentence);
    }
}

await SayAsync(buffer.TakeRest());

async Task SayAsync(string sentence)
{
    Console.WriteLine(sentence);
    await foreach (var update in voice.GetStreamingAudioAsync(sentence))
    {
        foreach (var audio in update.Contents.OfType<DataContent>())
        {
            await player.WriteAsync(audio.Data);
        }
    }
}

/// <summary>Writes the same answer word by word, as a language model does.</summary>
internal sealed class ScriptedChatClient : IChatClient
{
    private const string Answer = "A watermark is a mark that listeners do not hear. A detector finds it. It shows that speech is synthetic.";

    public Task<ChatResponse> GetResponseAsync(IEnumerable<ChatMessage> messages, ChatOptions? options = null, CancellationToken cancellationToken = default) =>
        Task.FromResult(new ChatResponse(new ChatMessage(ChatRole.Assistant, Answer)));

    public async IAsyncEnumerable<ChatResponseUpdate> GetStreamingResponseAsync(
        IEnumerable<ChatMessage> messages, ChatOptions? options = null, [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        foreach (var word in Answer.Split(' '))
        {
            await Task.Delay(20, cancellationToken);
            yield return new ChatResponseUpdate(ChatRole.Assistant, word + " ");
        }
    }

    public object? GetService(Type serviceType, object? serviceKey = null) => null;

    public void Dispose()
    {
    }
}
