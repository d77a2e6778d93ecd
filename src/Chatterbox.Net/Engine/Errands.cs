namespace Chatterbox.Engine;

/// <summary>Work for a model's thread that is not speech, in the order in which it came. Not safe for several threads at once.</summary>
internal sealed class Errands
{
    private readonly Queue<Errand> _waiting = new();

    /// <summary>Adds an errand.</summary>
    /// <param name="errand">Is run on the model's thread.</param>
    /// <param name="cancel">Looked at before it is run.</param>
    /// <returns>What it returns or throws, once it has been run.</returns>
    public Task<T> Add<T>(Func<ISpeechModel, T> errand, CancellationToken cancel)
    {
        var done = new TaskCompletionSource<T>(TaskCreationOptions.RunContinuationsAsynchronously);
        _waiting.Enqueue(new Errand(Run, error => done.TrySetException(error)));
        return done.Task;

        void Run(ISpeechModel model)
        {
            if (cancel.IsCancellationRequested)
            {
                done.SetCanceled(cancel);
                return;
            }

            try
            {
                done.SetResult(errand(model));
            }
            catch (Exception e)
            {
                done.SetException(e);
            }
        }
    }

    /// <summary>Takes the first errand out; null where there is none.</summary>
    public Errand? Take() => _waiting.TryDequeue(out var errand) ? errand : null;

    /// <summary>Takes all of them out.</summary>
    public IReadOnlyList<Errand> TakeAll()
    {
        Errand[] all = [.. _waiting];
        _waiting.Clear();
        return all;
    }
}

/// <summary>Work for a model's thread that is not speech.</summary>
/// <param name="Run">Does it.</param>
/// <param name="Fail">Tells who waits for it that it will not be done.</param>
internal sealed record Errand(Action<ISpeechModel> Run, Action<Exception> Fail);
