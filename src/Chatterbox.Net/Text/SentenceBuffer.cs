namespace Chatterbox.Text;

/// <summary>A text that is still being written, from where it has not been spoken yet: its sentences can be spoken as soon as they are
/// complete.</summary>
/// <example><code>
/// var buffer = new SentenceBuffer();
/// buffer.Add("Good morning. How a");
/// buffer.TakeSentence();      // "Good morning."
/// buffer.TakeSentence();      // null
/// </code></example>
public sealed class SentenceBuffer
{
    /// <summary>The text that has not been taken.</summary>
    public string Text { get; private set; } = "";

    /// <summary>Adds what has been written.</summary>
    /// <param name="text">The next characters.</param>
    public void Add(string text) => Text = (Text + text).TrimStart();

    /// <summary>Takes the next sentence, or part of one that is too long for the model.</summary>
    /// <returns>The sentence; null if it is not complete.</returns>
    public string? TakeSentence()
    {
        var length = SentenceSplitter.FirstSpeakable(Text);
        return length == 0 ? null : Take(length);
    }

    /// <summary>Takes what is left, complete or not: nothing more is written of it.</summary>
    /// <returns>The text; empty if nothing is left.</returns>
    public string TakeRest() => Take(Text.Length);

    private string Take(int length)
    {
        var taken = Text[..length].TrimEnd();
        Text = Text[length..].TrimStart();
        return taken;
    }
}
