using System.Threading.Channels;

namespace Chatterbox.Service.Sessions;

/// <summary>Something that a session has to do, in its turn.</summary>
internal abstract record SessionItem;

/// <summary>A sentence to be spoken.</summary>
/// <param name="Index">Its index in the session.</param>
/// <param name="Text">Its text.</param>
internal sealed record SessionSentence(int Index, string Text) : SessionItem
{
    /// <summary>Samples of it that have been sent.</summary>
    public int Samples { get; set; }

    /// <summary>How much has been sent.</summary>
    public double Seconds => Samples / (double)SpeechResult.SampleRate;
}

/// <summary>A stream of audio ends here.</summary>
/// <param name="EndsSession">Whether the session ends with it.</param>
internal sealed record SessionMark(bool EndsSession) : SessionItem;

/// <summary>What there is to speak, until all of it is dropped.</summary>
internal sealed class SessionRound
{
    private readonly Lock _gate = new();
    private readonly List<SessionItem> _left = []; // not spoken to their end
    private TaskCompletionSource? _done; // completes when none is left

    /// <summary>What is not begun.</summary>
    public Channel<SessionItem> Items { get; } = Channel.CreateUnbounded<SessionItem>(new() { SingleReader = true });

    /// <summary>Cancelled when all of it is dropped.</summary>
    public CancellationTokenSource Stop { get; } = new();

    /// <summary>Completes when nothing of it is being spoken any more.</summary>
    public Task Spoken { get; set; } = Task.CompletedTask;

    /// <summary>The mark up to which it has been spoken, while that is being told.</summary>
    public SessionMark? Reached { get; set; }

    /// <summary>The sentence that was spoken last, while what follows continues it.</summary>
    public string? Before { get; set; }

    /// <summary>Whether nobody wants to hear what is left.</summary>
    public bool IsDropped { get; private set; }

    /// <summary>Whether something of it is not done.</summary>
    public bool HasWork
    {
        get
        {
            lock (_gate)
            {
                return _left.Count > 0;
            }
        }
    }

    /// <summary>Completes when nothing of it is left.</summary>
    public Task WhenDone
    {
        get
        {
            lock (_gate)
            {
                return _left.Count == 0 ? Task.CompletedTask : (_done ??= new(TaskCreationOptions.RunContinuationsAsynchronously)).Task;
            }
        }
    }

    /// <summary>Characters of the sentences that are not spoken to their end.</summary>
    public int CharactersLeft
    {
        get
        {
            lock (_gate)
            {
                return _left.OfType<SessionSentence>().Sum(sentence => sentence.Text.Length);
            }
        }
    }

    /// <summary>Marks that are not reached.</summary>
    public int MarksLeft
    {
        get
        {
            lock (_gate)
            {
                return _left.Count(item => item is SessionMark);
            }
        }
    }

    /// <summary>Adds something behind what there is.</summary>
    public void Add(SessionItem item)
    {
        lock (_gate)
        {
            _left.Add(item);
        }

        Items.Writer.TryWrite(item);
    }

    /// <summary>Takes what has been spoken to its end off what is left.</summary>
    /// <returns>False where it was dropped before.</returns>
    public bool Finish(SessionItem item)
    {
        lock (_gate)
        {
            var isLeft = _left.Remove(item);
            TellIfDone();
            return isLeft;
        }
    }

    /// <summary>Drops what is left.</summary>
    public IReadOnlyList<DroppedSentence> Drop()
    {
        lock (_gate)
        {
            IsDropped = true;
            var dropped = _left
                .OfType<SessionSentence>()
                .Select(sentence => new DroppedSentence(sentence.Index, sentence.Text, sentence.Seconds))
                .ToList();
            _left.Clear();
            TellIfDone();
            return dropped;
        }
    }

    private void TellIfDone()
    {
        if (_left.Count == 0)
        {
            _done?.TrySetResult();
            _done = null;
        }
    }
}
