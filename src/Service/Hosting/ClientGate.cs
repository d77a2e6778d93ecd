using Chatterbox.Engine;

namespace Chatterbox.Service.Hosting;

/// <summary>A bounded number of places, of which one client may take as many as stay free for others. There is no waiting: a client
/// that gets none is refused.</summary>
/// <param name="capacity">Places there are.</param>
internal class ClientGate(int capacity)
{
    private readonly Lock _gate = new();
    private readonly Dictionary<string, int> _own = [];
    private int _taken;

    /// <summary>Places there are.</summary>
    public int Capacity => capacity;

    /// <summary>Places taken.</summary>
    public int Taken
    {
        get
        {
            lock (_gate)
            {
                return _taken;
            }
        }
    }

    /// <summary>Takes a place; null where there is none for this client. Disposing it gives it back.</summary>
    public IDisposable? TryEnter(string client)
    {
        lock (_gate)
        {
            var own = _own.GetValueOrDefault(client);
            if (!FairShare.Allows(capacity, _taken, own))
            {
                return null;
            }

            _own[client] = own + 1;
            _taken++;
            return new Place(this, client);
        }
    }

    private void Leave(string client)
    {
        lock (_gate)
        {
            _taken--;
            if (--_own[client] == 0)
            {
                _own.Remove(client);
            }
        }
    }

    private sealed class Place(ClientGate gate, string client) : IDisposable
    {
        private ClientGate? _gate = gate;

        public void Dispose() => Interlocked.Exchange(ref _gate, null)?.Leave(client);
    }
}
