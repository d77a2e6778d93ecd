using Chatterbox.Text;

namespace Chatterbox.Service.Sessions;

/// <summary>A text that is still being written, from where it has not been spoken yet.</summary>
internal sealed class SentenceBuffer
{
    /// <summary>The text.</summary>
    public string Text { get; private set; } = "";

    /// <summary>More has been written.</summary>
    public void Add(string text) => Text = (Text + text).TrimStart();

    /// <summary>Takes the next sentence, or part of one that is too long for the model, if it is complete.</summary>
    public string? TakeSentence()
    {
        var length = SentenceSplitter.FirstSpeakable(Text);
        return length == 0 ? null : Take(length);
    }

    /// <summary>Takes what is left, complete or not: nothing more is written of it.</summary>
    public string TakeRest() => Take(Text.Length);

    private string Take(int length)
    {
        var taken = Text[..length].TrimEnd();
        Text = Text[length..].TrimStart();
        return taken;
    }
}
